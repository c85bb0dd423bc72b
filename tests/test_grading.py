"""Grading: a fair row for each submission, whatever is handed in.

The short tests hand in a notebook of definitions, self-checks and a few hostile lines; the long
ones (`make test-grading`) hand in the whole lab.
"""

import copy
import html
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pandas as pd
import psutil
import pytest

from grading import grade as grading
from grading import jobs, sandbox
from grading.feedback import student_page
from grading.jobs import Grader, version
from grading.marks import Marks
from grading.reading import read_submission
from grading.release import make_course, release
from grading.render import message_html
from grading.sandbox import Limits
from grading.submissions import find_submission
from grading.tasks import NOTEBOOK, ROOT, tasks
from grading.worker import answers_below, restore_graded_cells
from msa_lab.data.synthetic import write_standin
from tests.regions import edit
from tests.solutions import CORRECT, LENGTH, WRONG

needs_sandbox = pytest.mark.skipif(
    not sandbox.available(), reason='needs bubblewrap: it would harm this machine'
)
AUTOMATIC = {key: task.points for key, task in tasks().items() if not task.written}
LIMITS = Limits(seconds=100, cell_seconds=10, memory=2.0)
NEEDED = ('imports', 'imports-lab', 'silence')


@pytest.fixture(scope='session')
def shared(tmp_path_factory):
    """What all gradings share: the course and the data."""
    folder = tmp_path_factory.mktemp('shared')
    (folder / 'course').mkdir()
    make_course(folder / 'course', jobs.reload_checks)
    write_standin(folder / 'data.pkl', **grading.SIZES)
    return folder


@pytest.fixture
def hand_in(tmp_path, shared):
    """Grade a notebook (or bytes): the row."""

    def grade(submission, student='student', limits=LIMITS, shared=shared, name=NOTEBOOK):
        file = tmp_path / 'submissions' / student / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(submission, bytes):
            file.write_bytes(submission)
        else:
            nbformat.write(submission, file)
        for folder in ('rows', 'feedback'):
            (tmp_path / 'out' / folder).mkdir(parents=True, exist_ok=True)
        found = find_submission(tmp_path / 'submissions' / student)
        return Grader(tmp_path / 'out', shared, limits).grade(found)

    return grade


@pytest.fixture(scope='session')
def fill_in(tmp_path_factory):
    """The fill-in edition, as a student has it."""
    folder = tmp_path_factory.mktemp('release') / 'edition'
    release(folder)
    return nbformat.read(folder / NOTEBOOK, as_version=4)


def with_solution(notebook, *edits):
    """A copy of the notebook with other bodies in the regions that students write."""
    notebook = copy.deepcopy(notebook)
    code = {cell.id: cell for cell in notebook.cells if cell.cell_type == 'code'}
    sources = {name: cell.source for name, cell in code.items()}
    for name, source in edit(sources, edits).items():
        code[name].source = source
    return notebook


def definitions(complete, *hostile, at='mosi-dataset'):
    """The lab's definitions and self-checks alone, with hostile cells in front of cell `at`."""
    notebook = copy.deepcopy(complete)
    kept = []
    for cell in notebook.cells:
        graded = cell.metadata.get('nbgrader', {}).get('grade')
        is_definition = cell.source.startswith(('class ', 'def ', '@contextmanager'))
        if cell.cell_type != 'code':
            continue
        if cell.id == at:
            kept += [nbformat.v4.new_code_cell(source) for source in hostile]
        is_list = cell.id.endswith('-experiments')
        if cell.id in NEEDED or graded or is_definition or is_list:
            kept.append(cell)
    notebook.cells = kept
    return notebook


def check_of(variant):
    """The name of the cell that checks the task of a variant."""
    return f'check-{variant.task.replace(".", "-")}'


def lost(row):
    """The automatic tasks that did not give full points."""
    return {name for name, most in AUTOMATIC.items() if row.points[name] != most}


def test_the_complete_edition_has_every_automatic_point(hand_in, complete):
    row = hand_in(definitions(complete))
    assert lost(row) == set()
    assert row.ended == '正常结束'
    assert row.waiting == []  # it has no written answers: nothing waits for a human


def test_the_untouched_edition_has_none(hand_in, fill_in):
    row = hand_in(fill_in)
    assert set(row.points.values()) == {0}
    assert row.waiting == []
    assert re.fullmatch(r'运行到末尾，其中 \d+ 格出错', row.ended)


def test_an_answer_may_stand_in_a_new_cell_below_its_own(fill_in):
    new = [nbformat.v4.new_markdown_cell(text) for text in ('先看曲线。', '再看表格。')]
    notebook, released = copy.deepcopy(fill_in), copy.deepcopy(fill_in)
    at = next(i for i, cell in enumerate(notebook.cells) if cell.id == 'q1-reading')
    notebook.cells[at + 1 : at + 1] = [new[0], nbformat.v4.new_code_cell('1'), new[1]]
    assert answers_below(notebook, released) == {'q1-reading': ['先看曲线。', '再看表格。']}
    notebook.cells[at + 5 : at + 5] = new[:1]  # behind the next released cell: it answers nothing
    for cell in notebook.cells:
        cell.pop('id', None)  # as some editors hand them in
    assert answers_below(notebook, released) == {'q1-reading': ['先看曲线。', '再看表格。']}


def test_both_halves_of_an_answer_that_was_split_are_read(fill_in, tmp_path):
    notebook = copy.deepcopy(fill_in)
    at = next(i for i, cell in enumerate(notebook.cells) if cell.id == 'q1-reading')
    half = copy.deepcopy(notebook.cells[at])
    half.id, half.source = 'half', '后一半'
    notebook.cells.insert(at + 1, half)
    nbformat.write(notebook, tmp_path / NOTEBOOK)
    notebook, _ = read_submission(tmp_path / NOTEBOOK)
    assert answers_below(notebook, fill_in) == {'q1-reading': ['后一半']}


def test_an_answer_in_place_of_its_own_cell_is_read(fill_in):
    notebook = copy.deepcopy(fill_in)
    at = next(i for i, cell in enumerate(notebook.cells) if cell.id == 'q1-reading')
    notebook.cells[at] = nbformat.v4.new_markdown_cell('自己新建的一格')
    restore_graded_cells(notebook, fill_in)
    assert [cell.id for cell in notebook.cells if cell.id in tasks()] == list(tasks())
    assert answers_below(notebook, fill_in) == {'q1-reading': ['自己新建的一格']}


@pytest.mark.grading
def test_an_answer_in_a_new_cell_waits_for_the_human(hand_in, complete):
    notebook = definitions(complete)
    (answer,) = (c for c in complete.cells if c.id == 'q1-reading')
    solution = re.compile(r'<!-- ### BEGIN.*?END SOLUTION -->', re.DOTALL)
    untouched = solution.sub('（在这里写下你的分析。）', answer.source)
    cells = [nbformat.v4.new_markdown_cell(untouched, metadata=answer.metadata)]
    notebook.cells += [*cells, nbformat.v4.new_markdown_cell('损失 0.93')]
    row = hand_in(notebook)
    assert row.waiting == ['q1-reading']
    assert row.answers['q1-reading'].endswith('损失 0.93')
    assert '损失 0.93' in student_page(row, Marks())


def test_a_wrong_solution_costs_its_task_and_the_page_says_why(hand_in, complete, tmp_path):
    wrong = next(v for v in WRONG if v.task == '4')
    notebook = definitions(with_solution(complete, *wrong.edits))
    (solution,) = [cell.source for cell in notebook.cells if cell.id in tasks()['check-4'].cells]
    secret = tmp_path / 'secret.png'
    secret.write_bytes(b'secret')
    for text in (f'![]({secret})', '$x^2$', '$\\frac{$', '<script>document.title = 1</script>'):
        notebook.cells.append(nbformat.v4.new_markdown_cell(text))
    row = hand_in(notebook)
    assert lost(row) == {'check-4'}
    assert re.search(wrong.says, row.messages['check-4'])
    page = html.unescape(student_page(row, Marks()))
    assert html.unescape(message_html(row.messages['check-4'])) in page
    assert solution in page  # below the message stands the code
    assert f'{sum(AUTOMATIC.values()) - AUTOMATIC["check-4"]} / 100 分' in page
    feedback = tmp_path / 'out' / 'feedback'
    whole = (feedback / 'student-notebook.html').read_text(encoding='utf-8')
    assert 'CheckFailed' in whole
    assert 'Score' not in whole  # points stand on one page only
    handed_in = (feedback / 'student-submitted.html').read_text(encoding='utf-8')
    for text in (whole, handed_in):
        assert "default-src 'none'" in text  # nothing is fetched and no script runs
        assert not re.search(r'<(script|link)[^>]*(src|href)=', text)
        assert 'c2VjcmV0' not in text  # a picture of the instructor's disk is not put in
        assert '<msup>' in text


# Hostile and broken submissions

ALL = set(AUTOMATIC)


NO_NOTEBOOK = [
    b'',
    b'\x80\x04K\x01.',
    b'print("hello")',
    b'{"a": 1}',
    b'[1, 2]',
    b'null',
    b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    b'{"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
]


@pytest.mark.parametrize('content', NO_NOTEBOOK)
def test_what_is_no_notebook_is_said(tmp_path, content):
    path = tmp_path / NOTEBOOK
    path.write_bytes(content)
    with pytest.raises(ValueError, match='不是笔记本文件'):
        read_submission(path)


def test_a_huge_submission_is_said(tmp_path, monkeypatch):
    (tmp_path / 'huge').write_bytes(b'x' * 100)
    monkeypatch.setattr('grading.reading.MAX_BYTES', 99)
    with pytest.raises(ValueError, match='超过'):
        read_submission(tmp_path / 'huge')


def test_what_is_no_notebook_costs_its_own_row(hand_in):
    row = hand_in(b'hello')
    assert row.points == {}
    assert '不是笔记本' in row.ended
    assert not row.failed  # the submission's own fault: the row is kept
    assert '没有得到自动评分' in student_page(row, Marks())


@pytest.mark.grading
def test_an_endless_loop_costs_the_cell_that_has_it(hand_in, complete):
    row = hand_in(definitions(complete, 'while True:\n    pass'), limits=Limits(100, 5))
    assert lost(row) == set()  # the cell is not graded, and those behind it run


@pytest.mark.grading
def test_an_endless_loop_inside_a_task_costs_that_task(hand_in, complete):
    loop = definitions(with_solution(complete, LENGTH('while True: pass')))
    row = hand_in(loop, limits=Limits(100, 5))
    assert lost(row) == {'check-1'}


@pytest.mark.grading
def test_a_loop_that_will_not_be_interrupted_ends_with_the_time(hand_in, complete):
    stubborn = 'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass'
    row = hand_in(definitions(complete, stubborn, at='multiclass-acc'), limits=Limits(25, 5))
    assert '总时间超过 25 秒' in row.ended
    assert {'check-1', 'check-2'} & lost(row) == set()  # what came before keeps its points
    assert lost(row) >= {'check-6', 'check-15'}


@pytest.mark.grading
def test_endless_output_is_cut_off(hand_in, complete, tmp_path):
    flood = 'while True:\n    print("x" * 10_000)'
    row = hand_in(definitions(complete, flood, at='multiclass-acc'), limits=Limits(100, 5))
    assert '其中 1 格出错' in row.ended or '内存超过' in row.ended  # printing takes memory
    assert {'check-1', 'check-2'} & lost(row) == set()
    assert (tmp_path / 'out' / 'feedback' / 'student-notebook.html').stat().st_size < 2_000_000


@pytest.mark.grading
def test_a_memory_hog_is_stopped(hand_in, complete):
    hog = 'hog = []\nwhile True:\n    hog.append(bytearray(50_000_000))'
    row = hand_in(definitions(complete, hog, at='multiclass-acc'))
    assert '内存超过 2.0 GiB' in row.ended
    assert 'check-1' not in lost(row)
    assert 'check-15' in lost(row)


@pytest.mark.grading
@needs_sandbox
def test_a_fork_bomb_is_stopped(hand_in, complete):
    bomb = 'import os, time\nwhile True:\n    if os.fork() == 0:\n        time.sleep(600)'
    row = hand_in(definitions(complete, bomb))
    assert '进程超过 64 个' in row.ended


def test_an_exit_ends_the_kernel_and_the_row_says_so(hand_in, complete):
    row = hand_in(definitions(complete, 'import os\nos._exit(0)', at='multiclass-acc'))
    assert '内核中途退出' in row.ended
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
    assert (ROOT / 'msa_lab' / 'checks' / '__init__.py').is_file()
    assert not Path('/etc/written').exists()
    assert row.ended == '正常结束'
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
    ghost = {'name': 'ghost', 'display_name': 'Ghost', 'language': 'python'}
    notebook.metadata['kernelspec'] = ghost
    assert lost(hand_in(notebook)) == set()


@needs_sandbox
def test_a_kernel_that_does_not_start_costs_no_points_and_is_tried_again(
    hand_in, complete, shared, tmp_path
):
    broken = tmp_path / 'shared'  # without its data file the sandbox cannot be set up
    shutil.copytree(shared / 'course', broken / 'course')
    row = hand_in(definitions(complete), shared=broken)
    assert '内核没有启动' in row.ended
    assert row.points == {}
    assert row.failed
    found = find_submission(tmp_path / 'submissions' / 'student')
    assert Grader(tmp_path / 'out', shared, LIMITS).kept(found) is None
    assert '老师会重新评分' in student_page(row, Marks())


def test_a_worker_that_dies_says_nothing_about_the_submission(hand_in, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs.sys, 'executable', shutil.which('false'))
    row = hand_in(b'whatever')
    assert row.failed
    assert '评分进程中断' in row.ended
    monkeypatch.undo()
    assert not hand_in(b'whatever').failed


@needs_sandbox
def test_a_virtual_environment_that_is_a_link_can_be_used(monkeypatch, shared, tmp_path):
    (tmp_path / 'venv').symlink_to(sys.prefix)
    monkeypatch.setattr(sandbox.sys, 'prefix', str(tmp_path / 'venv'))
    monkeypatch.setattr(sandbox.sys, 'executable', str(tmp_path / 'venv' / 'bin' / 'python'))
    sandbox.try_kernel(jobs.RELOAD_CHECKS, shared / 'data.pkl', LIMITS, 60)


def test_a_machine_on_which_no_kernel_starts_grades_nothing(tmp_path, monkeypatch):
    (tmp_path / 'in' / 'zhang').mkdir(parents=True)
    (tmp_path / 'in' / 'zhang' / NOTEBOOK).write_text('{}')
    monkeypatch.setattr(grading, 'RELOAD_CHECKS', 'import nothing_of_that_name')
    with pytest.raises(SystemExit, match=r'nothing was graded, no kernel can start: Module.*name'):
        grading.grade_all(tmp_path / 'in', tmp_path / 'out')
    assert not list((tmp_path / 'out').rglob('*.*'))


def is_kernel(process):
    """Whether a process, which may be gone, is the kernel of a submission."""
    try:
        return 'ipykernel_launcher' in process.cmdline()
    except psutil.NoSuchProcess:
        return False


@pytest.mark.grading
def test_ctrl_c_ends_everything_at_once_and_keeps_what_is_finished(complete, tmp_path):
    sleeper = nbformat.v4.new_code_cell('import time\ntime.sleep(60)')
    slow = nbformat.v4.new_notebook(cells=[sleeper])
    for name in ('b', 'c', 'd', 'e'):
        (tmp_path / 'in' / name).mkdir(parents=True)
        nbformat.write(slow, tmp_path / 'in' / name / NOTEBOOK)
    (tmp_path / 'in' / 'a').mkdir()
    (tmp_path / 'in' / 'a' / NOTEBOOK).write_bytes(b'no notebook')
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'grading.grade', str(tmp_path / 'in'), '--out', str(out)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        me, family, started = psutil.Process(process.pid), [], time.monotonic()
        while not ((out / 'rows' / 'a.json').is_file() and any(map(is_kernel, family))):
            assert time.monotonic() < started + 60
            time.sleep(0.5)
            family = me.children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        started = time.monotonic()
        output, _ = process.communicate(timeout=20)
        assert time.monotonic() < started + 10
    assert process.returncode == 130
    assert 'interrupted: ' in output
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert [path.name for path in (out / 'rows').iterdir()] == ['a.json']
    assert not (out / 'grades.csv').exists()


@pytest.mark.grading
@pytest.mark.parametrize('keep_ids', [True, False])
def test_a_notebook_that_lost_its_names_is_graded_like_the_original(hand_in, complete, keep_ids):
    """Twice, because a failed grading would be tried again at the second run."""
    wrong = next(v for v in WRONG if v.task == '4')
    notebook = definitions(with_solution(complete, *wrong.edits))
    for cell in notebook.cells:
        cell.metadata.pop('nbgrader', None)
        if not keep_ids:
            cell.id = nbformat.v4.new_code_cell().id
    for _ in range(2):
        row = hand_in(notebook)
        assert not row.failed
        assert lost(row) == {'check-4'}
        assert '个单元格丢失的名字' in row.ended


@pytest.mark.grading
def test_removed_checks_come_back(hand_in, complete):
    notebook = definitions(complete)
    notebook.cells = [c for c in notebook.cells if c.id not in ('check-1', 'check-6')]
    assert lost(hand_in(notebook)) == set()


@pytest.mark.grading
def test_removed_solutions_cost_their_tasks(hand_in, complete):
    notebook = definitions(complete)
    gone = ('mosi-dataset', 'check-1', 'multiclass-acc')
    notebook.cells = [c for c in notebook.cells if c.id not in gone]
    assert lost(hand_in(notebook)) == {'check-1', 'check-6'}


@pytest.mark.grading
def test_edited_checks_are_put_back(hand_in, complete):
    notebook = definitions(with_solution(complete, LENGTH('return 7')))
    (check,) = [c for c in notebook.cells if c.id == 'check-1']
    check.source, check.metadata['nbgrader']['points'] = '3', 300
    row = hand_in(notebook)
    assert lost(row) == {'check-1'}
    assert row.points['check-1'] == 0


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
    'overwrites every check in every module': (
        'import sys\n'
        "for module in [m for name, m in sys.modules.items() if name.startswith('msa_lab.')]:\n"
        '    for name in dir(module):\n'
        "        if name.startswith(('check_', 'load_')):\n"
        '            setattr(module, name, lambda *args: None)'
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
    row = hand_in(definitions(with_solution(complete, LENGTH('return 7')), CHEATS[cheat]))
    assert lost(row) == {'check-1'}
    assert row.points['check-1'] == 0


@pytest.mark.grading
@needs_sandbox
def test_the_checks_on_disk_cannot_be_overwritten(hand_in, complete):
    write = (
        'from pathlib import Path\n'
        "for file in (*Path('msa_lab/checks').glob('*.py'), Path(checks.__file__)):\n"
        '    try:\n'
        "        file.write_text('def __getattr__(name): return lambda *args: None')\n"
        '    except OSError:\n'
        '        pass'
    )
    before = version()
    row = hand_in(definitions(with_solution(complete, LENGTH('return 7')), write))
    assert version() == before
    assert lost(row) == {'check-1'}


@pytest.mark.grading
def test_without_a_sandbox_it_grades_all_the_same(hand_in, complete, monkeypatch):
    monkeypatch.setattr(sandbox, 'available', lambda: False)
    assert lost(hand_in(definitions(complete))) == set()


def test_a_grade_that_is_still_valid_is_kept(hand_in, shared, tmp_path):
    first = hand_in(b'not a notebook')
    found = find_submission(tmp_path / 'submissions' / 'student')
    grader = Grader(tmp_path / 'out', shared, LIMITS)
    assert grader.kept(found).key == first.key
    (tmp_path / 'submissions' / 'student' / 'more.pdf').touch()
    found = find_submission(tmp_path / 'submissions' / 'student')
    assert grader.kept(found).beside == ('more.pdf',)
    (tmp_path / 'submissions' / 'student' / NOTEBOOK).write_bytes(b'another')
    assert grader.kept(found) is None


def test_a_byte_in_any_file_that_a_grade_depends_on_makes_another_version(tmp_path):
    for name in ('msa_lab', 'grading'):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / NOTEBOOK, tmp_path)
    checks = list((tmp_path / 'msa_lab' / 'checks').glob('*.py'))
    others = [tmp_path / 'msa_lab' / 'data' / 'split.py', tmp_path / 'grading' / 'worker.py']
    assert len(checks) > 5
    seen = {version()}
    assert version(tmp_path) in seen
    for file in (*checks, *others, tmp_path / NOTEBOOK):
        with file.open('ab') as changed:
            changed.write(b' ')
        assert version(tmp_path) not in seen, file
        seen.add(version(tmp_path))


def test_a_notebook_of_another_name_is_graded_and_that_is_said(hand_in, complete):
    row = hand_in(definitions(complete), name='student/EXP_MSA (1).ipynb')
    assert lost(row) == set()
    assert row.ended == '正常结束（交来的文件是 student/EXP_MSA (1).ipynb）'


# The whole lab

SIX = [next(v for v in WRONG if v.task == task) for task in ('1', '2', '4', '6', '8', '10.2')]


@pytest.mark.grading
@pytest.mark.parametrize('variant', SIX, ids=lambda v: v.name)
def test_a_wrong_solution_in_the_whole_lab_loses_its_task(hand_in, complete, variant):
    row = hand_in(with_solution(complete, *variant.edits), limits=Limits())
    assert lost(row) == {check_of(variant)}


@pytest.mark.grading
def test_forty_submissions_of_mixed_kind(complete, fill_in, tmp_path):
    submissions = tmp_path / 'in'
    notebook = copy.deepcopy(complete)
    variants = [with_solution(notebook, *v.edits) for v in (*WRONG[:24], *CORRECT[:8])]
    loop = nbformat.v4.new_code_cell('while True:\n    pass')
    hostile = copy.deepcopy(notebook)
    hostile.cells.insert(20, loop)
    leaves = copy.deepcopy(notebook)
    leaves.cells.insert(60, nbformat.v4.new_code_cell('import os\nos._exit(1)'))
    variants += [notebook, notebook, fill_in, fill_in, hostile, leaves]
    for i, variant in enumerate(variants):
        (submissions / f's{i:02d}').mkdir(parents=True)
        nbformat.write(variant, submissions / f's{i:02d}' / NOTEBOOK)
    for name, content in (('s38', b'nothing'), ('s39', b'{}')):
        (submissions / name).mkdir()
        (submissions / name / NOTEBOOK).write_bytes(content)
    shutil.copy(ROOT / 'README.md', submissions / 's00')
    grading.grade_all(submissions, tmp_path / 'out')
    grades = pd.read_csv(tmp_path / 'out' / 'grades.csv').set_index('student')
    assert len(grades) == 40
    assert (grades['seconds'].mean()) <= 90
    print(grades['seconds'].describe())
    full = sum(AUTOMATIC.values())
    for i, variant in enumerate((*WRONG[:24], *CORRECT[:8])):
        missing = AUTOMATIC[check_of(variant)] if i < 24 else 0
        assert grades.loc[f's{i:02d}', 'total'] == full - missing, variant.name
    assert list(grades.loc[['s32', 's33'], 'total']) == [full, full]
    assert list(grades.loc[['s34', 's35', 's38', 's39'], 'total']) == [0, 0, 0, 0]
    assert grades.loc['s36', 'total'] == full
    assert grades.loc['s37', 'total'] < full
    assert len(list((tmp_path / 'out' / 'feedback').glob('s??.html'))) == 40
