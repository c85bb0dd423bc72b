"""Grade one submission with nbgrader, in a process and a folder of its own.

`python -m grading.worker JOB`: JOB is a JSON file, see `grading.grade`; its `result` is the file
that the outcome goes to. What goes wrong here costs this submission and no other.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient.exceptions import DeadKernelError
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateFeedback
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import CheckCellMetadata, Execute, LimitOutput, SaveAutoGrades
from nbgrader.utils import compute_checksum, is_grade

from grading.release import ASSIGNMENT, NOTEBOOK, course_config, nbgrader_api, tasks
from grading.sandbox import KERNEL, Limits, Watchdog, write_kernel

STUDENT = 'student'  # inside a course of its own, so the real name need not be a valid one
MAX_BYTES = 50_000_000
MISSING = '（提交里没有这一格，评分时补上。）'
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
        where = [i for i, c in enumerate(nb.cells) if grade_id(c) == 'profiles']
        for i in where[:1]:
            nb.cells.insert(i, nbformat.v4.new_code_cell(SETTINGS))
        try:
            nb, resources = super().preprocess(nb, resources, km)
        except DeadKernelError:
            self.ended = self.watchdog.reason or '内核中途退出'
        except RuntimeError as error:
            self.ended = self.watchdog.reason or f'内核没有启动（{error}）'
        for cell in filter(is_grade, nb.cells):
            if cell.cell_type == 'code':
                self.settle(cell)
            elif cell.source.startswith(MISSING):  # nobody wrote this answer: it is worth 0
                cell.metadata['nbgrader']['checksum'] = compute_checksum(cell)
        nb.metadata['msa_ended'] = self.ended
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
    if not path.is_file():
        raise ValueError(f'没有找到 {NOTEBOOK}')
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f'{NOTEBOOK} 超过 {MAX_BYTES // 10**6} MB')
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        first = str(error).splitlines()[0][:120] if str(error) else ''
        raise ValueError(f'不是笔记本文件（{type(error).__name__}: {first}）') from error
    return notebook


def grade(job):
    """Grade the submission of `job`, a dict; returns a row for the table of grades."""
    work = Path(tempfile.mkdtemp(prefix='msa-'))
    try:
        return _grade(job, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _grade(job, work):
    notebook = read_submission(job['notebook'])
    course, limits = work / 'c', Limits(**job['limits'])
    shutil.copytree(job['course'], course)
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
        config.OverwriteCells.add_missing_cells = True
        config.OverwriteCells.missing_cell_notification = f'{MISSING}\n\n'
        config.Autograde.autograde_preprocessors = [
            GradingExecute, LimitOutput, SaveAutoGrades, CheckCellMetadata,
        ]  # fmt: skip
        run(Autograde, config)
    row = read_grades(course, folder / NOTEBOOK)
    run(GenerateFeedback, config)
    page = course / 'feedback' / STUDENT / ASSIGNMENT / Path(NOTEBOOK).with_suffix('.html')
    shutil.copy(page, job['page'])
    return row


def run(converter, config):
    """One of nbgrader's steps for the one student."""
    coursedir = CourseDirectory(config=config)
    coursedir.assignment_id, coursedir.student_id = ASSIGNMENT, STUDENT
    converter(coursedir=coursedir, config=config).start()


def read_grades(course, executed):
    """A row: points per task, what waits for a human, how it ended, what to tell the student."""
    points = {}
    with Gradebook(f'sqlite:///{course / "gradebook.db"}', ASSIGNMENT) as gradebook:
        notebook = gradebook.find_submission_notebook(Path(NOTEBOOK).stem, ASSIGNMENT, STUDENT)
        for item in notebook.grades:
            points[item.name] = item.auto_score
    notebook = nbformat.read(executed, as_version=4)
    by_id = {grade_id(cell): cell for cell in notebook.cells}
    row = {
        'points': points, 'waiting': [name for name, score in points.items() if score is None],
        'ended': notebook.metadata.get('msa_ended') or '正常结束',
        'messages': {}, 'code': {}, 'answers': {}, 'errors': [],
    }  # fmt: skip
    for key, task in tasks().items():
        if task.written:
            row['answers'][key] = by_id[key].source if key in row['waiting'] else ''
        elif points[key] < task.points:
            row['messages'][key] = '\n'.join(map(error_text, errors(by_id[key])))
            row['code'][key] = [by_id[name].source for name in task.cells if name in by_id]
    for cell in notebook.cells:
        for error in errors(cell) if not is_grade(cell) else ():
            row['errors'].append(f'{cell.source[:400]}\n\n{error_text(error)}')
    row['errors'] = row['errors'][:5]
    return row


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
        row = {'points': {}, 'waiting': [], 'ended': text or type(error).__name__}
        if not isinstance(error, ValueError):
            row['ended'] = f'评分没有完成（{type(error).__name__}: {text}）'
    row['seconds'] = round(time.monotonic() - start, 1)
    Path(job['result']).write_text(json.dumps(row, ensure_ascii=False), encoding='utf-8')


if __name__ == '__main__':
    main(sys.argv[1])
