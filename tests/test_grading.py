"""Grading: a fair row for each submission, whatever is handed in.

The short tests hand in a notebook of definitions, self-checks and a few hostile lines; the long
ones (`make test-grading`) hand in the whole lab.
"""

import copy
import csv
import html
import re
import shutil
import socket
import threading
from pathlib import Path

import nbformat
import pytest

from grading import grade as grading
from grading import sandbox
from grading.feedback import render
from grading.grade import grade_submission
from grading.release import NOTEBOOK, ROOT, make_course, release, tasks
from grading.sandbox import Limits
from grading.worker import read_submission
from msa_lab.standin import write_standin
from tests.solutions import CORRECT, WRONG, edit

needs_sandbox = pytest.mark.skipif(
    not sandbox.available(), reason='needs bubblewrap: it would harm this machine'
)
AUTOMATIC = {key: task.points for key, task in tasks().items() if not task.written}
LIMITS = Limits(seconds=100, cell_seconds=10, memory=2 * 2**30)
NEEDED = ('imports', 'silence', 'metric-names', 'default-device', 'set-seed')


@pytest.fixture(scope='session')
def shared(tmp_path_factory):
    """What all gradings share: the course and the data."""
    folder = tmp_path_factory.mktemp('shared')
    (folder / 'course').mkdir()
    make_course(folder / 'course', grading.load_checks_afresh)
    write_standin(folder / 'data.pkl', **grading.SIZES)
    return folder


@pytest.fixture
def hand_in(tmp_path, shared):
    """Grade a notebook (or bytes): the row."""

    def grade(submission, student='student', limits=LIMITS, shared=shared):
        folder = tmp_path / 'submissions' / student
        folder.mkdir(parents=True)
        if isinstance(submission, bytes):
            (folder / NOTEBOOK).write_bytes(submission)
        elif submission is not None:
            nbformat.write(submission, folder / NOTEBOOK)
        for name in ('rows', 'feedback'):
            (tmp_path / 'out' / name).mkdir(parents=True, exist_ok=True)
        return grade_submission(student, folder.parent, tmp_path / 'out', shared, limits)

    return grade


def edited(notebook, edits=()):
    """A copy of the notebook with text replaced in its code."""
    notebook = copy.deepcopy(notebook)
    code = {cell.id: cell for cell in notebook.cells if cell.cell_type == 'code'}
    for name, source in edit({name: cell.source for name, cell in code.items()}, edits).items():
        code[name].source = source
    return notebook


def definitions(complete, *hostile, edits=(), at='mosi-dataset'):
    """The lab's definitions and self-checks alone, with hostile cells in front of cell `at`."""
    notebook = edited(complete, edits)
    kept = []
    for cell in notebook.cells:
        graded = cell.metadata.get('nbgrader', {}).get('grade')
        is_definition = cell.source.startswith(('class ', 'def ', '@contextmanager'))
        if cell.cell_type != 'code':
            continue
        if cell.id == at:
            kept += [nbformat.v4.new_code_cell(source) for source in hostile]
        if cell.id in NEEDED or graded or is_definition:
            kept.append(cell)
        elif cell.id == 'experiments':
            cell.source = cell.source.replace('float(train_set.labels.mean())', '0.2')
            kept.append(cell)
    notebook.cells = kept
    return notebook


def lost(row):
    """The automatic tasks that did not give full points."""
    return {name for name, most in AUTOMATIC.items() if row['points'][name] != most}


def test_the_complete_edition_has_every_automatic_point(hand_in, complete):
    row = hand_in(definitions(complete))
    assert lost(row) == set()
    assert row['ended'] == '正常结束'
    assert row['waiting'] == []  # it has no written answers: nothing waits for a human


def test_the_untouched_edition_has_none(hand_in, tmp_path):
    release(tmp_path / 'edition')
    row = hand_in(nbformat.read(tmp_path / 'edition' / NOTEBOOK, as_version=4))
    assert set(row['points'].values()) == {0}
    assert row['waiting'] == []


def test_a_wrong_solution_costs_its_task_and_the_page_says_why(hand_in, complete, tmp_path):
    wrong = next(v for v in WRONG if v.task == '4')
    row = hand_in(definitions(complete, edits=wrong.edits))
    assert lost(row) == {'check-4'}
    page = render(row, tasks(), {})
    assert re.search(wrong.says, html.unescape(page))  # the message, and below it the code
    assert wrong.edits[0][1].strip() in html.unescape(page)
    assert '69 / 100 分' in page
    whole = (tmp_path / 'out' / 'feedback' / 'student-notebook.html').read_text(encoding='utf-8')
    assert 'CheckFailed' in whole


# Hostile and broken submissions

ALL = set(AUTOMATIC)


NO_NOTEBOOK = [
    b'', b'\x80\x04K\x01.', b'print("hello")', b'{"a": 1}', b'[1, 2]', b'null',
    b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    b'{"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
]  # fmt: skip


@pytest.mark.parametrize('content', NO_NOTEBOOK)
def test_what_is_no_notebook_is_said(tmp_path, content):
    path = tmp_path / NOTEBOOK
    path.write_bytes(content)
    with pytest.raises(ValueError, match='不是笔记本文件'):
        read_submission(path)


def test_a_submission_that_is_not_there_or_huge_is_said(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='没有找到'):
        read_submission(tmp_path / NOTEBOOK)
    (tmp_path / NOTEBOOK).mkdir()
    with pytest.raises(ValueError, match='没有找到'):
        read_submission(tmp_path / NOTEBOOK)
    (tmp_path / 'huge').write_bytes(b'x' * 100)
    monkeypatch.setattr('grading.worker.MAX_BYTES', 99)
    with pytest.raises(ValueError, match='超过'):
        read_submission(tmp_path / 'huge')


def test_what_is_no_notebook_costs_its_own_row(hand_in):
    row = hand_in(b'hello')
    assert row['points'] == {}
    assert '不是笔记本' in row['ended']
    assert '没有得到自动评分' in render(row, tasks(), {})


@pytest.mark.grading
def test_an_endless_loop_costs_the_cell_that_has_it(hand_in, complete):
    row = hand_in(definitions(complete, 'while True:\n    pass'), limits=Limits(100, 5))
    assert lost(row) == set()  # the cell is not graded, and those behind it run


@pytest.mark.grading
def test_an_endless_loop_inside_a_task_costs_that_task(hand_in, complete):
    loop = [('return len(self.labels)', 'while True: pass')]
    row = hand_in(definitions(complete, edits=loop), limits=Limits(100, 5))
    assert lost(row) == {'check-1'}


@pytest.mark.grading
def test_a_loop_that_will_not_be_interrupted_ends_with_the_time(hand_in, complete):
    stubborn = 'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass'
    row = hand_in(definitions(complete, stubborn, at='multiclass-acc'), limits=Limits(25, 5))
    assert '总时间超过 25 秒' in row['ended']
    assert {'check-1', 'check-2'} & lost(row) == set()  # what came before keeps its points
    assert lost(row) >= {'check-6', 'check-15'}


@pytest.mark.grading
def test_endless_output_is_cut_off(hand_in, complete, tmp_path):
    flood = 'while True:\n    print("x" * 10_000)'
    row = hand_in(definitions(complete, flood, at='multiclass-acc'), limits=Limits(100, 5))
    assert row['ended'] == '正常结束' or '内存超过' in row['ended']  # what is printed is memory too
    assert {'check-1', 'check-2'} & lost(row) == set()
    assert (tmp_path / 'out' / 'feedback' / 'student-notebook.html').stat().st_size < 2_000_000


@pytest.mark.grading
def test_a_memory_hog_is_stopped(hand_in, complete):
    hog = 'hog = []\nwhile True:\n    hog.append(bytearray(50_000_000))'
    row = hand_in(definitions(complete, hog, at='multiclass-acc'))
    assert '内存超过 2.0 GiB' in row['ended']
    assert 'check-1' not in lost(row)
    assert 'check-15' in lost(row)


@pytest.mark.grading
@needs_sandbox
def test_a_fork_bomb_is_stopped(hand_in, complete):
    bomb = 'import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(600)'
    row = hand_in(definitions(complete, bomb))
    assert '进程超过 64 个' in row['ended']


def test_an_exit_ends_the_kernel_and_the_row_says_so(hand_in, complete):
    row = hand_in(definitions(complete, 'import os\nos._exit(0)', at='multiclass-acc'))
    assert '内核中途退出' in row['ended']
    assert lost(row) == ALL - {f'check-{n}' for n in range(1, 6)}


@pytest.mark.grading
@needs_sandbox
def test_files_cannot_be_deleted_written_or_read_outside(hand_in, complete, tmp_path):
    victim = tmp_path / 'precious.txt'
    victim.write_text('precious')
    attack = f"""
import os, shutil
from pathlib import Path
for path in ({str(ROOT)!r}, {str(tmp_path)!r}, '/usr/lib', os.getcwd()):
    shutil.rmtree(path, ignore_errors=True)
for path in ({str(victim)!r}, {str(ROOT / NOTEBOOK)!r}, '/etc/written'):
    try:
        Path(path).write_text('gone')
    except OSError:
        pass
assert not Path({str(ROOT / 'tests')!r}).exists(), 'the solutions can be seen'
"""
    before = (ROOT / NOTEBOOK).read_bytes()
    row = hand_in(definitions(complete, attack))
    assert victim.read_text() == 'precious'
    assert (ROOT / NOTEBOOK).read_bytes() == before
    assert (ROOT / 'msa_lab' / 'checks.py').is_file()
    assert not Path('/etc/written').exists()
    assert row['ended'] == '正常结束'
    assert lost(row) == set()


@pytest.mark.grading
@needs_sandbox
def test_the_network_cannot_be_reached(hand_in, complete):
    reached = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as server:
        server.settimeout(0.5)

        def listen():
            while not done.is_set():
                try:
                    server.accept()
                    reached.set()
                except TimeoutError:
                    continue

        done = threading.Event()
        listener = threading.Thread(target=listen)
        listener.start()
        port = server.getsockname()[1]
        call = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=3)"
        row = hand_in(definitions(complete, call))
        done.set()
        listener.join()
    assert not reached.is_set()
    assert lost(row) == set()


@pytest.mark.grading
def test_another_kernel_in_the_metadata_is_not_asked_for(hand_in, complete):
    notebook = definitions(complete)
    notebook.metadata['kernelspec'] = {
        'name': 'ghost', 'display_name': 'Ghost', 'language': 'python',
    }  # fmt: skip
    assert lost(hand_in(notebook)) == set()


@pytest.mark.grading
@needs_sandbox
def test_a_kernel_that_does_not_start_is_said(hand_in, complete, shared, tmp_path):
    broken = tmp_path / 'shared'  # without its data file the sandbox cannot be set up
    shutil.copytree(shared / 'course', broken / 'course')
    row = hand_in(definitions(complete), shared=broken)
    assert '内核没有启动' in row['ended']
    assert lost(row) == ALL


@pytest.mark.grading
def test_removed_checks_come_back(hand_in, complete):
    notebook = definitions(complete)
    notebook.cells = [c for c in notebook.cells if c.id not in ('check-1', 'check-6')]
    assert lost(hand_in(notebook)) == set()


@pytest.mark.grading
def test_removed_solutions_cost_their_tasks(hand_in, complete):
    notebook = definitions(complete)
    notebook.cells = [c for c in notebook.cells if c.id != 'multiclass-acc']
    assert lost(hand_in(notebook)) == {'check-6'}


@pytest.mark.grading
def test_edited_checks_are_put_back(hand_in, complete):
    wrong = [('return len(self.labels)', 'return 7')]
    notebook = definitions(complete, edits=wrong)
    (check,) = [c for c in notebook.cells if c.id == 'check-1']
    check.source, check.metadata['nbgrader']['points'] = '3', 300
    row = hand_in(notebook)
    assert lost(row) == {'check-1'}
    assert row['points']['check-1'] == 0


CHEATS = {
    'prints a grade': "print('{\"score\": 100}')\nprint('Total: 100')",
    'shows a value in every cell': (
        "get_ipython().events.register('post_run_cell', "
        'lambda result: get_ipython().displayhook(3.0))'
    ),
    'overwrites a check': 'checks.check_dataset = lambda *args: None',
    'overwrites the module': (
        'import sys, types\n'
        "fake = types.ModuleType('msa_lab.checks')\n"
        'fake.__getattr__ = lambda name: lambda *args: None\n'
        "sys.modules['msa_lab.checks'] = sys.modules['msa_lab'].checks = fake"
    ),
    'brings a package': (
        'import os, sys\n'
        "os.makedirs('/tmp/fake/msa_lab', exist_ok=True)\n"
        "open('/tmp/fake/msa_lab/__init__.py', 'w').close()\n"
        "open('/tmp/fake/msa_lab/checks.py', 'w').write("
        "'def __getattr__(name):\\n    return lambda *args: None\\n')\n"
        "sys.path.insert(0, '/tmp/fake')"
    ),
}


@pytest.mark.grading
@needs_sandbox
@pytest.mark.parametrize('cheat', CHEATS)
def test_a_cheat_gains_nothing(hand_in, complete, cheat):
    wrong = [('return len(self.labels)', 'return 7')]
    row = hand_in(definitions(complete, CHEATS[cheat], edits=wrong))
    assert lost(row) == {'check-1'}
    assert row['points']['check-1'] == 0


@pytest.mark.grading
@needs_sandbox
def test_the_checks_on_disk_cannot_be_overwritten(hand_in, complete):
    write = (
        'from pathlib import Path\n'
        "for file in (Path('msa_lab/checks.py'), Path(checks.__file__)):\n"
        '    try:\n'
        "        file.write_text('def __getattr__(name): return lambda *args: None')\n"
        '    except OSError:\n'
        '        pass'
    )
    before = (ROOT / 'msa_lab' / 'checks.py').read_bytes()
    row = hand_in(definitions(complete, write, edits=[('return len(self.labels)', 'return 7')]))
    assert (ROOT / 'msa_lab' / 'checks.py').read_bytes() == before
    assert lost(row) == {'check-1'}


@pytest.mark.grading
def test_without_a_sandbox_it_grades_all_the_same(hand_in, complete, monkeypatch):
    monkeypatch.setattr(sandbox, 'available', lambda: False)
    assert lost(hand_in(definitions(complete))) == set()


# The table


def rows_of(path):
    with path.open(encoding='utf-8-sig', newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture
def fake(monkeypatch):
    """Rows without the work: every automatic point, one answer that waits for a human."""

    def grade(student, submissions, out, shared, limits, fresh=False):
        points = dict.fromkeys(tasks(), 0) | AUTOMATIC
        if student == 'broken':
            return {'student': student, 'points': {}, 'waiting': [], 'ended': '不是笔记本文件',
                    'seconds': 0.1, 'beside': []}  # fmt: skip
        return {
            'student': student, 'points': points | {'q1-reading': None},
            'waiting': ['q1-reading'], 'ended': '正常结束', 'seconds': 1.0,
            'beside': ['更好的模型.ipynb'],
        }  # fmt: skip

    monkeypatch.setattr(grading, 'grade_submission', grade)


def test_the_table_has_a_row_per_student_and_waits_for_the_human(tmp_path, fake, shared):
    for name in ('张三', 'broken'):
        (tmp_path / 'in' / name).mkdir(parents=True)
    grading.grade_all(tmp_path / 'in', tmp_path / 'out')
    broken, other = rows_of(tmp_path / 'out' / 'grades.csv')
    assert broken['student'] == 'broken'
    assert float(broken['total']) == 0
    assert broken['ended'] == '不是笔记本文件'
    assert other['student'] == '张三'
    assert float(other['total']) == sum(AUTOMATIC.values())
    assert other['waits for'] == '分析 1'
    assert other['also handed in'] == '更好的模型.ipynb'

    sheet = tmp_path / 'out' / 'written.csv'
    lines = sheet.read_text(encoding='utf-8-sig').splitlines()
    column = lines[0].split(',').index('分析 1 (7)')
    cells = lines[2].split(',')
    assert cells[column] == ''
    cells[column] = '5.5'
    sheet.write_text('\n'.join([*lines[:2], ','.join(cells)]), encoding='utf-8-sig')
    grading.grade_all(tmp_path / 'in', tmp_path / 'out')
    _, other = rows_of(tmp_path / 'out' / 'grades.csv')
    assert float(other['total']) == sum(AUTOMATIC.values()) + 5.5
    assert other['waits for'] == ''
    assert '5.5' in sheet.read_text(encoding='utf-8-sig')  # what a human wrote is kept

    sheet.write_text(sheet.read_text(encoding='utf-8-sig').replace('5.5', '70'), 'utf-8-sig')
    with pytest.raises(SystemExit, match=r'70 is not between 0 and 7'):
        grading.grade_all(tmp_path / 'in', tmp_path / 'out')


def test_a_folder_without_submissions_is_said(tmp_path):
    with pytest.raises(SystemExit, match='no folder'):
        grading.grade_all(tmp_path / 'nowhere')
    with pytest.raises(SystemExit, match='holds no folder'):
        grading.grade_all(tmp_path)


def test_a_grade_that_is_still_valid_is_kept(hand_in, shared, tmp_path):
    first = hand_in(b'not a notebook')
    out, submissions = tmp_path / 'out', tmp_path / 'submissions'
    kept = out / 'rows' / 'student.json'
    kept.write_text(kept.read_text().replace('"seconds":', '"seen": 1, "seconds":'))
    arguments = 'student', submissions, out, shared, LIMITS
    assert grade_submission(*arguments)['seen'] == 1
    assert 'seen' not in grade_submission(*arguments, fresh=True)
    (submissions / 'student' / NOTEBOOK).write_bytes(b'another')
    assert grade_submission(*arguments)['key'] != first['key']


# The whole lab

SIX = [next(v for v in WRONG if v.task == task) for task in ('1', '2', '4', '6', '8', '10')]


@pytest.mark.grading
@pytest.mark.parametrize('variant', SIX, ids=lambda v: v.name)
def test_a_wrong_solution_in_the_whole_lab_loses_its_task(hand_in, complete, variant):
    row = hand_in(edited(complete, variant.edits), limits=Limits())
    assert lost(row) == {f'check-{variant.task}'}


@pytest.mark.grading
def test_forty_submissions_of_mixed_kind(complete, tmp_path):
    submissions = tmp_path / 'in'
    notebook = copy.deepcopy(complete)
    variants = [edited(notebook, v.edits) for v in (*WRONG[:24], *CORRECT[:8])]
    loop = nbformat.v4.new_code_cell('while True:\n    pass')
    hostile = edited(notebook)
    hostile.cells.insert(20, loop)
    leaves = edited(notebook)
    leaves.cells.insert(60, nbformat.v4.new_code_cell('import os\nos._exit(1)'))
    release(tmp_path / 'edition')
    empty = nbformat.read(tmp_path / 'edition' / NOTEBOOK, as_version=4)
    variants += [notebook, notebook, empty, empty, hostile, leaves]
    for i, variant in enumerate(variants):
        (submissions / f's{i:02d}').mkdir(parents=True)
        nbformat.write(variant, submissions / f's{i:02d}' / NOTEBOOK)
    for name, content in (('s38', b'nothing'), ('s39', b'{}')):
        (submissions / name).mkdir()
        (submissions / name / NOTEBOOK).write_bytes(content)
    shutil.copy(ROOT / 'README.md', submissions / 's00')
    grades = grading.grade_all(submissions, tmp_path / 'out').set_index('student')
    assert len(grades) == 40
    assert (grades['seconds'].mean()) <= 90
    print(grades['seconds'].describe())
    full = sum(AUTOMATIC.values())
    for i, variant in enumerate((*WRONG[:24], *CORRECT[:8])):
        missing = AUTOMATIC[f'check-{variant.task}'] if i < 24 else 0
        assert grades.loc[f's{i:02d}', 'total'] == full - missing, variant.name
    assert list(grades.loc[['s32', 's33'], 'total']) == [full, full]
    assert list(grades.loc[['s34', 's35', 's38', 's39'], 'total']) == [0, 0, 0, 0]
    assert grades.loc['s36', 'total'] == full
    assert grades.loc['s37', 'total'] < full
    assert len(list((tmp_path / 'out' / 'feedback').glob('s??.html'))) == 40
