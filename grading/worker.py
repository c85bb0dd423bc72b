"""Grade one submission with nbgrader, in a process and a folder of its own.

`python -m grading.worker JOB`: JOB is the JSON file of a `grading.rows.Job`. The outcome, a
`grading.rows.Row`, goes to the file that the job names. What goes wrong here costs this submission
and no other.
"""

import os
import re
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import CheckCellMetadata, Execute, LimitOutput, SaveAutoGrades
from nbgrader.utils import is_grade

from grading.reading import grade_id, read_submission, restore_names
from grading.release import ASSIGNMENT, course_config, nbgrader_api
from grading.render import notebook_html, render_page
from grading.rows import Job, Row
from grading.sandbox import KERNEL, Limits, Watchdog, write_kernel
from grading.tasks import NOTEBOOK, tasks

STUDENT = 'student'  # inside a course of its own, so the real name need not be a valid one
SETTINGS = "# 评分时的设置\nDATA, PROFILE, SEEDS = '', 'smoke', []"


class GradingExecute(Execute):
    """nbgrader's execution of a notebook, for code that nobody has looked at.

    What a cell prints and displays is cut off at a limit. If the kernel dies, every graded cell
    that had still to run gets an error. Of the outputs of a graded cell only errors decide about
    its points: nbgrader itself would also take a number that the cell displays as its points.
    """

    watchdog, limits = None, Limits()  # set once per process: traitlets would copy them
    max_printed, max_displayed = 100_000, 5_000_000  # characters per cell

    def preprocess(
        self, nb: NotebookNode, resources: dict, km: object = None
    ) -> tuple[NotebookNode, dict]:
        """Run the notebook; how it ended goes into its metadata, under the key `msa`."""
        self.timeout_func = self.seconds_for
        self.printed, self.displayed, self.executed, self.ended = {}, {}, set(), ''
        self.started = True
        where = [i for i, c in enumerate(nb.cells) if grade_id(c) == 'profiles']
        for i in where[:1]:
            nb.cells.insert(i, nbformat.v4.new_code_cell(SETTINGS))
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except DeadKernelError:
            self.ended = self.watchdog.reason or '内核中途退出'
        except RuntimeError as error:
            self.ended = self.watchdog.reason or f'内核没有启动（{error}）'
            self.started = bool(self.executed or self.watchdog.reason)
        for cell in filter(is_grade, nb.cells):
            if cell.cell_type == 'code':
                self.clean_graded_cell(cell)
        nb.metadata['msa'] = {'ended': self.ended, 'started': self.started}
        return nb, resources

    def seconds_for(self, cell: NotebookNode) -> float:
        """How long a cell may run: a self-check takes seconds, a cell that trains longer."""
        return self.limits.cell_seconds if is_grade(cell) else 2 * self.limits.cell_seconds

    def on_cell_executed(self, **kwargs) -> None:
        """Take note of the cell that has just run."""
        self.executed.add(grade_id(kwargs['cell']))
        super().on_cell_executed(**kwargs)

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> object:
        """Handle a message of the kernel; what a cell prints beyond its limit is dropped."""
        content = msg['content']
        if msg['msg_type'] == 'stream':
            left = self.max_printed - self.printed.get(cell_index, 0)
            self.printed[cell_index] = self.printed.get(cell_index, 0) + len(content['text'])
            if left <= 0:
                return None
            content['text'] = content['text'][:left]
        elif msg['msg_type'] in ('display_data', 'execute_result'):
            self.displayed[cell_index] = self.displayed.get(cell_index, 0) + len(str(content))
            if self.displayed[cell_index] > self.max_displayed:
                return None
        return super().process_message(msg, cell, cell_index)

    def clean_graded_cell(self, cell: NotebookNode) -> None:
        """Keep only errors and printed text; a cell that did not run gets an error."""
        cell.outputs = [
            output
            for output in cell.outputs
            if output.output_type == 'error' or output.get('name') == 'stdout'
        ]
        if grade_id(cell) not in self.executed:
            reason = self.ended or '这一格没有运行'
            output = nbformat.v4.new_output(
                'error', ename='NotRun', evalue=reason, traceback=[f'没有运行：{reason}']
            )
            cell.outputs.append(output)


def grade(job: Job) -> Row:
    """Grade one submission; ValueError says in Chinese why it cannot be read."""
    notebook, mended = read_submission(job.notebook)
    write_page(notebook, job.submitted_page)
    work = Path(job.work)
    course = work / 'c'  # short names: the paths of Unix sockets may have about 100 characters
    shutil.copytree(job.course, course)
    released = nbformat.read(course / 'release' / ASSIGNMENT / NOTEBOOK, as_version=4)
    mended += restore_names(notebook, released)
    restore_graded_cells(notebook, released)
    submitted = course / 'submitted' / STUDENT / ASSIGNMENT
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / NOTEBOOK)
    folder, runtime = course / 'autograded' / STUDENT / ASSIGNMENT, work / 'r'
    runtime.mkdir()
    if not job.sandboxed:
        for name in ('msa_lab', 'images'):
            shutil.copytree(Path(job.lab) / name, submitted / name)
    write_kernel(work / 'share', folder, runtime, job.data, job.limits, job.sandboxed)
    os.environ |= {'JUPYTER_PATH': str(work / 'share'), 'JUPYTER_RUNTIME_DIR': str(runtime)}
    autograde(course, runtime, job)
    executed = nbformat.read(folder / NOTEBOOK, as_version=4)
    if not executed.metadata['msa']['started']:
        return Row(executed.metadata['msa']['ended'], failed=True)
    write_page(executed, job.graded_page)
    row = read_grades(course, executed, released)
    if not mended:
        return row
    return replace(row, ended=f'{row.ended}（已修复：{"、".join(dict.fromkeys(mended))}）')


def restore_graded_cells(notebook: NotebookNode, released: NotebookNode) -> None:
    """Put graded cells that a student has deleted back into the notebook, in place.

    Each comes behind the cell that it follows in the released notebook. nbgrader puts such cells
    back too, but not where the cell of the solution is gone as well. And so an answer that was
    written into a new cell in place of its own stands below it, see `answers_below`.
    """
    graded, position = {grade_id(cell) for cell in released.cells}, 0
    names = [  # the id of a graded cell alone does not make one: it may have another type by now
        grade_id(cell) or (cell.get('id') if cell.get('id') not in graded else None)
        for cell in notebook.cells
    ]
    for cell in released.cells:
        name = grade_id(cell) or cell.id
        if name in names:
            position = names.index(name) + 1
        elif is_grade(cell):
            notebook.cells.insert(position, cell)
            names.insert(position, name)
            position += 1


def write_page(notebook: NotebookNode, path: str | Path) -> None:
    """Write a notebook as an HTML page; if that fails, a page that says so, for no points."""
    try:
        page = notebook_html(notebook, Path(path).stem)
    except Exception as error:
        page = render_page('no_notebook.html.j2', error=type(error).__name__)
    Path(path).write_text(page, encoding='utf-8')


def autograde(course: Path, runtime: Path, job: Job) -> None:
    """Run nbgrader's autograding of the one student in `course`, within the job's limits.

    `runtime` is the folder for the sockets of the kernel.
    """
    config = course_config(course)
    config.GradingExecute.kernel_name = KERNEL
    config.GradingExecute.startup_timeout = job.startup_seconds
    config.GradingExecute.raise_on_iopub_timeout = False
    config.KernelManager.transport = 'ipc'
    config.KernelManager.connection_file = str(runtime / 'k.json')
    steps = [GradingExecute, LimitOutput, SaveAutoGrades, CheckCellMetadata]
    config.Autograde.autograde_preprocessors = steps
    with Watchdog(job.limits) as watchdog:
        GradingExecute.watchdog, GradingExecute.limits = watchdog, job.limits
        coursedir = CourseDirectory(config=config)
        coursedir.assignment_id, coursedir.student_id = ASSIGNMENT, STUDENT
        Autograde(coursedir=coursedir, config=config).start()


def read_grades(course: Path, notebook: NotebookNode, released: NotebookNode) -> Row:
    """The row of a graded submission: points, what a human has to read, what to tell the student.

    `course` is the folder of the course, with gradebook.db in it; `notebook` is the executed
    notebook, `released` the fill-in edition.
    """
    points = {}
    with Gradebook(f'sqlite:///{course / "gradebook.db"}', ASSIGNMENT) as gradebook:
        graded = gradebook.find_submission_notebook(Path(NOTEBOOK).stem, ASSIGNMENT, STUDENT)
        for item in graded.grades:
            points[item.name] = item.auto_score
    added = answers_below(notebook, released)
    points |= dict.fromkeys(added)
    waiting = [name for name, score in points.items() if score is None]
    cells = {grade_id(cell): cell for cell in notebook.cells}
    messages, code, answers = {}, {}, {}
    for key, task in tasks().items():
        if task.written and key in waiting:
            answers[key] = '\n\n'.join([cells[key].source, *added.get(key, ())])
        elif not task.written and points[key] < task.points:
            messages[key] = '\n'.join(map(error_text, errors(cells[key])))
            code[key] = [cells[name].source for name in task.cells if name in cells]
    failures = sum(bool(errors(cell)) for cell in notebook.cells)
    at_the_end = f'运行到末尾，其中 {failures} 格出错' if failures else '正常结束'
    return Row(
        ended=notebook.metadata['msa']['ended'] or at_the_end,
        points=points,
        waiting=waiting,
        messages=messages,
        code=code,
        answers=answers,
        errors=list(other_errors(notebook))[:5],
    )


def answers_below(notebook: NotebookNode, released: NotebookNode) -> dict[str, list[str]]:
    """Texts of the Markdown cells that a student has added below the cell of an answer, by task.

    A cell is a released one if it has the name or the text of one: not every editor keeps names.
    """
    names = {cell.id for cell in released.cells}
    texts = {cell.source.strip() for cell in released.cells}
    written = {key for key, task in tasks().items() if task.written}
    found, key = {}, None
    for cell in notebook.cells:
        text = cell.source.strip()
        if grade_id(cell) or cell.get('id') in names or text in texts:
            key = grade_id(cell) if grade_id(cell) in written else None
        elif key and text and cell.cell_type == 'markdown':
            found.setdefault(key, []).append(cell.source)
    return found


def other_errors(notebook: NotebookNode) -> Iterator[str]:
    """Source and message of each error in a cell that is not graded."""
    for cell in notebook.cells:
        if not is_grade(cell):
            for error in errors(cell):
                yield f'{cell.source[:400]}\n\n{error_text(error)}'


def errors(cell: NotebookNode) -> list[NotebookNode]:
    """The error outputs of a cell."""
    return [o for o in cell.get('outputs', ()) if o.output_type == 'error']


def error_text(error: NotebookNode) -> str:
    """The message of an error output, behind the exception's name unless a check wrote it."""
    text = error.evalue[:2000]
    return text if error.ename in ('CheckFailed', 'NotRun') else f'{error.ename}: {text}'


def main() -> None:
    """Read the job, grade, write the row; an exception becomes a row too."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('job', type=Path, help='the JSON file of the job')
    job = Job.from_json(parser.parse_args().job.read_text(encoding='utf-8'))
    nbgrader_api(course_config('.'))  # puts what nbgrader calls on the path
    start = time.monotonic()
    try:
        row = grade(job)
    except Exception as error:
        text = re.sub(r'\s+', ' ', str(error))[:300]
        row = Row(text)
        if not isinstance(error, ValueError):
            row = Row(f'评分没有完成（{type(error).__name__}: {text}）', failed=True)
    row = replace(row, seconds=round(time.monotonic() - start, 1))
    Path(job.result).write_text(row.to_json(), encoding='utf-8')


if __name__ == '__main__':
    main()
