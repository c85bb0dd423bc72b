"""The fill-in edition: what a student gets, and that it gives no solution away."""

import json
import re
import zipfile

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from grading.release import COMPLETE_ONLY, release
from grading.tasks import NOTEBOOK, ROOT, tasks

BEGIN, END = '### BEGIN SOLUTION', '### END SOLUTION'


@pytest.fixture(scope='module')
def edition(tmp_path_factory):
    """The unpacked zip, as a student has it."""
    folder = tmp_path_factory.mktemp('release')
    archive = release(folder / 'student')
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder / 'home')
    return folder / 'home' / 'student'


@pytest.fixture(scope='module')
def fill_in(edition):
    return nbformat.read(edition / NOTEBOOK, as_version=4)


def solution_lines(notebook):
    """(lines that stand inside solutions, lines that stand outside), stripped."""
    inside, outside = set(), set()
    for cell in notebook.cells:
        hidden = COMPLETE_ONLY in cell.metadata.get('tags', [])
        solving = False
        for line in cell.source.splitlines():
            if BEGIN in line:
                solving = True
            elif END in line:
                solving = False
            else:
                (inside if hidden or solving else outside).add(line.strip())
    return inside, outside


def test_no_line_that_stands_only_in_solutions_is_in_the_zip(complete, edition):
    inside, outside = solution_lines(complete)
    lab = set()  # a student reads msa_lab too, so a line that stands there is no secret
    for file in (ROOT / 'msa_lab').rglob('*.py'):
        lab |= {line.strip() for line in file.read_text(encoding='utf-8').splitlines()}
    solutions = {line for line in inside - outside if len(line) > 8}
    secret = solutions - lab
    assert len(secret) > 150
    assert len(solutions & lab) < 10  # only such as any model has: `if self.training:`
    for file in edition.rglob('*'):
        if file.suffix == '.ipynb':
            cells = json.loads(file.read_text(encoding='utf-8'))['cells']
            lines = {s.strip() for c in cells for s in ''.join(c['source']).splitlines()}
        elif file.is_file() and file.suffix not in ('.jpg', '.png'):
            lines = {s.strip() for s in file.read_text(encoding='utf-8').splitlines()}
        else:
            continue
        assert not secret & lines, file


def test_the_zip_holds_what_the_lab_needs_and_nothing_of_the_staff(edition):
    names = {str(p.relative_to(edition)) for p in edition.rglob('*') if p.is_file()}
    lab = {str(p.relative_to(ROOT)) for p in (ROOT / 'msa_lab').rglob('*.py')}
    images = {'images/GeneralFramework.jpg', 'images/ModelGraph.png'}
    assert names == lab | images | {NOTEBOOK, 'README.md', 'requirements.txt'}


def test_what_belongs_to_the_complete_edition_alone_is_left_out(complete, fill_in):
    hidden = {c.id for c in complete.cells if COMPLETE_ONLY in c.metadata.get('tags', [])}
    assert hidden
    assert not {c.id for c in fill_in.cells} & hidden
    headings = [
        re.findall('^## (附录 .)', '\n'.join(c.source for c in notebook.cells), re.MULTILINE)
        for notebook in (complete, fill_in)
    ]
    assert headings == [['附录 A', '附录 B', '附录 C'], []]


def test_the_pictures_that_the_notebook_shows_are_in_the_zip(edition, fill_in):
    text = '\n'.join(cell.source for cell in fill_in.cells)
    shown = set(re.findall(r'images/[\w.-]+', text))
    assert shown == {str(p.relative_to(edition)) for p in (edition / 'images').iterdir()}


def test_every_todo_has_a_hint_and_an_error_that_names_it(complete, fill_in):
    marks = re.findall(rf'{BEGIN} ([\d.]+) (\S+)', '\n'.join(c.source for c in complete.cells))
    todos = []
    for cell in fill_in.cells:
        todos += re.findall(
            r"# TODO ([\d.]+)：(.+)\n *raise NotImplementedError\('TODO ([\d.]+) 还没有完成'\)",
            cell.source,
        )
    assert len(todos) == len(marks)
    assert all(number == named and len(hint) >= 6 for number, hint, named in todos)
    graded = {task.name.removeprefix('TODO ') for task in tasks().values() if not task.written}
    assert {number for number, _ in marks} == graded
    assert {int(number.split('.')[0]) for number in graded} == set(range(1, 16))


def test_the_fill_in_edition_is_clean(fill_in):
    assert not any(cell.get('outputs') for cell in fill_in.cells)
    assert not any(cell.get('execution_count') for cell in fill_in.cells)
    text = '\n'.join(cell.source for cell in fill_in.cells)
    assert 'SOLUTION' not in text
    assert '评分标准' not in text
    assert 'ImprovedFramework' not in text
    for cell in fill_in.cells:
        if cell.metadata.get('nbgrader', {}).get('grade') and cell.cell_type == 'code':
            assert cell.metadata['editable'] is False


def test_the_points_sum_to_60_and_40_and_the_notebook_says_those_of_its_metadata(complete):
    graded = tasks().values()
    assert sum(task.points for task in graded if not task.written) == 60
    assert sum(task.points for task in graded if task.written) == 40
    (overview,) = [c.source for c in complete.cells if c.get('id') == 'tasks']
    table = dict(re.findall(r'\| ((?:TODO|分析) [\d.]+) \| [^|]+ \| (\d+) (?=\|)', overview))
    assert table == {task.name: str(task.points) for task in graded}
    assert '一共 100 分' in overview
    text = '\n'.join(c.source for c in complete.cells)
    for task in graded:
        label = task.name if task.written else task.name.replace('TODO', '自检')
        assert f'{label}（{task.points} 分）' in text
        assert bool(task.cells) != task.written
    assert text.count('**评分标准**') == sum(task.written for task in graded)


def test_run_as_a_student_would_it_stops_at_the_first_todo(edition, fill_in, monkeypatch):
    monkeypatch.setenv('MSA_PROFILE', 'smoke')
    monkeypatch.delenv('MSA_DATA', raising=False)
    client = NotebookClient(fill_in, resources={'metadata': {'path': str(edition)}})
    with pytest.raises(CellExecutionError) as caught:
        client.execute()
    message = re.sub(r'\x1b\[[0-9;]*m', '', str(caught.value))
    assert 'CheckFailed: TODO 1 还没有完成。提示：返回样本数' in message
    assert 'Traceback' not in message
    ran = [c for c in fill_in.cells if c.cell_type == 'code' and c.execution_count]
    assert ran[-1].metadata['nbgrader']['grade_id'] == 'check-1'
    assert (edition / 'data' / 'synthetic.pkl').is_file()  # the sentences were not fetched
