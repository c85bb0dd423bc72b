"""Grade one submission with nbgrader, in a process and a folder of its own.

`python -m grading.worker JOB`: JOB is a JSON file, see `grading.grade`; its `result` is the file
that the outcome goes to. What goes wrong here costs this submission and no other.
"""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import CheckCellMetadata, Execute, LimitOutput, SaveAutoGrades
from nbgrader.utils import is_grade

from grading.release import ASSIGNMENT, course_config, nbgrader_api
from grading.render import notebook_html
from grading.sandbox import KERNEL, Limits, Watchdog, write_kernel
from grading.submissions import MAX_BYTES
from grading.tasks import NOTEBOOK, tasks

STUDENT = 'student'  # inside a course of its own, so the real name need not be a valid one
SETTINGS = "# 评分时的设置\nDATA, PROFILE, SEEDS = '', 'smoke', []"


class GradingExecute(Execute):
    """nbgrader's execution, for code that nobody has looked at.

    What a cell prints is cut off, a dead kernel is an error in every graded cell that was still to
    come, and of a graded cell only errors count: neither what it prints nor a value that it shows.
    """

    watchdog, limits = None, Limits()  # set once per process: traitlets would copy them
    max_output, max_shown = 100_000, 5_000_000  # characters printed and shown, per cell

    def preprocess(self, nb, resources, km=None):
        self.timeout_func = self.seconds_for
        self.printed, self.shown, self.ran, self.ended = {}, {}, set(), ''
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
            self.started = bool(self.ran or self.watchdog.reason)
        for cell in filter(is_grade, nb.cells):
            if cell.cell_type == 'code':
                self.settle(cell)
        nb.metadata['msa'] = {'ended': self.ended, 'started': self.started}
        return nb, resources

    def seconds_for(self, cell):
        """A self-check takes seconds; a cell that trains may take longer."""
        return self.limits.cell_seconds if is_grade(cell) else 2 * self.limits.cell_seconds

    def on_cell_executed(self, **kwargs):
        self.ran.add(grade_id(kwargs['cell']))
        super().on_cell_executed(**kwargs)

    def process_message(self, msg, cell, cell_index):
        content = msg['content']
        if msg['msg_type'] == 'stream':
            left = self.max_output - self.printed.get(cell_index, 0)
            self.printed[cell_index] = self.printed.get(cell_index, 0) + len(content['text'])
            if left <= 0:
                return None
            content['text'] = content['text'][:left]
        elif msg['msg_type'] in ('display_data', 'execute_result'):
            self.shown[cell_index] = self.shown.get(cell_index, 0) + len(str(content))
            if self.shown[cell_index] > self.max_shown:
                return None
        return super().process_message(msg, cell, cell_index)

    def settle(self, cell):
        """Leave in a graded cell what its grade follows from: an error, or none."""
        cell.outputs = [
            output for output in cell.outputs
            if output.output_type == 'error' or output.get('name') == 'stdout'
        ]  # fmt: skip
        if grade_id(cell) not in self.ran:
            reason = self.ended or '这一格没有运行'
            output = nbformat.v4.new_output(
                'error', ename='NotRun', evalue=reason, traceback=[f'没有运行：{reason}']
            )
            cell.outputs.append(output)


def grade_id(cell):
    """The name that nbgrader knows a cell by, or ''."""
    return cell.metadata.get('nbgrader', {}).get('grade_id', '')


def read_submission(path):
    """The notebook as a student handed it in; ValueError says in Chinese why it is none."""
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f'{path.name} 超过 {MAX_BYTES // 10**6} MB')
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        first = str(error).splitlines()[0][:120] if str(error) else ''
        raise ValueError(f'不是笔记本文件（{type(error).__name__}: {first}）') from error
    seen = set()
    for cell in notebook.cells:  # both halves of a cell that was split have its name, and nbgrader
        if grade_id(cell) and grade_id(cell) in seen:  # would take the second half for the whole
            del cell.metadata['nbgrader']
        seen.add(grade_id(cell))
    return notebook


def ungraded(ended, failed=False):
    """A row without grades; `failed` if the reason says nothing about the submission."""
    return {'points': {}, 'waiting': [], 'ended': ended, 'failed': failed, 'seconds': None}


def grade(job):
    """Grade the submission of `job`, a dict; returns a row for the table of grades."""
    notebook = read_submission(job['notebook'])
    write_page(notebook, job['submitted'])
    work, limits = Path(job['work']), Limits(**job['limits'])
    course = work / 'c'
    shutil.copytree(job['course'], course)
    released = nbformat.read(course / 'release' / ASSIGNMENT / NOTEBOOK, as_version=4)
    put_back(notebook, released)
    submitted = course / 'submitted' / STUDENT / ASSIGNMENT
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / NOTEBOOK)
    folder, runtime = course / 'autograded' / STUDENT / ASSIGNMENT, work / 'r'
    runtime.mkdir()
    if not job['sandboxed']:
        for name in ('msa_lab', 'images'):
            shutil.copytree(Path(job['lab']) / name, submitted / name)
    write_kernel(work / 'share', folder, runtime, job['data'], limits, job['sandboxed'])
    os.environ |= {'JUPYTER_PATH': str(work / 'share'), 'JUPYTER_RUNTIME_DIR': str(runtime)}

    config = course_config(course)
    with Watchdog(limits) as watchdog:
        GradingExecute.watchdog, GradingExecute.limits = watchdog, limits
        config.GradingExecute.kernel_name = KERNEL
        config.GradingExecute.startup_timeout = job['startup_seconds']
        config.GradingExecute.raise_on_iopub_timeout = False
        config.KernelManager.transport = 'ipc'
        config.KernelManager.connection_file = str(runtime / 'k.json')
        config.Autograde.autograde_preprocessors = [
            GradingExecute, LimitOutput, SaveAutoGrades, CheckCellMetadata,
        ]  # fmt: skip
        autograde(config)
    executed = nbformat.read(folder / NOTEBOOK, as_version=4)
    if not executed.metadata['msa']['started']:
        return ungraded(executed.metadata['msa']['ended'], failed=True)
    write_page(executed, job['page'])
    return read_grades(course, executed, released)


def put_back(notebook, released):
    """Put graded cells that are gone behind what stood before them.

    nbgrader does so too, but not where the cell of the solution is gone as well; and so an answer
    written into a new cell in place of its own stands below it, see `answers_below`.
    """
    here, at = [grade_id(cell) or cell.get('id') for cell in notebook.cells], 0
    for cell in released.cells:
        name = grade_id(cell) or cell.id
        if name in here:
            at = here.index(name) + 1
        elif is_grade(cell):
            notebook.cells.insert(at, cell)
            here.insert(at, name)
            at += 1


def write_page(notebook, path):
    """A notebook as a page; one that cannot be drawn costs the page and not the grade."""
    try:
        page = notebook_html(notebook, Path(path).stem)
    except Exception as error:
        page = f'<meta charset="utf-8">这份笔记本没能画成网页（{type(error).__name__}）。'
    Path(path).write_text(page, encoding='utf-8')


def autograde(config):
    """nbgrader's step for the one student."""
    coursedir = CourseDirectory(config=config)
    coursedir.assignment_id, coursedir.student_id = ASSIGNMENT, STUDENT
    Autograde(coursedir=coursedir, config=config).start()


def read_grades(course, notebook, released):
    """A row: points per task, what waits for a human, how it ended, what to tell the student."""
    points = {}
    with Gradebook(f'sqlite:///{course / "gradebook.db"}', ASSIGNMENT) as gradebook:
        graded = gradebook.find_submission_notebook(Path(NOTEBOOK).stem, ASSIGNMENT, STUDENT)
        for item in graded.grades:
            points[item.name] = item.auto_score
    added = answers_below(notebook, released)
    points |= dict.fromkeys(added)
    wrong = sum(bool(errors(cell)) for cell in notebook.cells)
    to_the_end = f'运行到末尾，其中 {wrong} 格出错' if wrong else '正常结束'
    by_id = {grade_id(cell): cell for cell in notebook.cells}
    row = {
        'points': points, 'waiting': [name for name, score in points.items() if score is None],
        'ended': notebook.metadata['msa']['ended'] or to_the_end, 'failed': False,
        'messages': {}, 'code': {}, 'answers': {}, 'errors': [],
    }  # fmt: skip
    for key, task in tasks().items():
        if task.written and key in row['waiting']:
            row['answers'][key] = '\n\n'.join([by_id[key].source, *added.get(key, ())])
        elif not task.written and points[key] < task.points:
            row['messages'][key] = '\n'.join(map(error_text, errors(by_id[key])))
            row['code'][key] = [by_id[name].source for name in task.cells if name in by_id]
    for cell in notebook.cells:
        for error in errors(cell) if not is_grade(cell) else ():
            row['errors'].append(f'{cell.source[:400]}\n\n{error_text(error)}')
    row['errors'] = row['errors'][:5]
    return row


def answers_below(notebook, released):
    """{key: texts} of the Markdown cells that a student has added below the cell of an answer.

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


def errors(cell):
    """The error outputs of a cell."""
    return [o for o in cell.get('outputs', ()) if o.output_type == 'error']


def error_text(error):
    """What an error says; a failed check speaks for itself."""
    text = error.evalue[:2000]
    return text if error.ename in ('CheckFailed', 'NotRun') else f'{error.ename}: {text}'


def main(path):
    """Read the job, grade, write the result; an error becomes a row too."""
    job = json.loads(Path(path).read_text(encoding='utf-8'))
    nbgrader_api(course_config('.'))  # puts what nbgrader calls on the path
    start = time.monotonic()
    try:
        row = grade(job)
    except Exception as error:
        text = re.sub(r'\s+', ' ', str(error))[:300]
        row = ungraded(text)
        if not isinstance(error, ValueError):
            row = ungraded(f'评分没有完成（{type(error).__name__}: {text}）', failed=True)
    row['seconds'] = round(time.monotonic() - start, 1)
    Path(job['result']).write_text(json.dumps(row, ensure_ascii=False), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1])
