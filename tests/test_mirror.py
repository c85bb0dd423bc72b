"""`msa_utils.py` and the points are what `make mirror` writes from the notebook."""

import copy
import difflib
import importlib.util
import re

import pytest

import msa_utils
from grading.mirror import MODULE, mirror, write_points
from grading.tasks import ROOT, tasks_of


def changed(notebook, cell_id, old, new):
    """A copy of the notebook with one piece of one cell replaced."""
    notebook = copy.deepcopy(notebook)
    (cell,) = [cell for cell in notebook.cells if cell.id == cell_id]
    assert cell.source.count(old) == 1
    cell.source = cell.source.replace(old, new)
    return notebook


def differences(written, notebook):
    """The lines in which a module differs from what the notebook gives, as a diff."""
    return list(
        difflib.unified_diff(
            written.splitlines(), mirror(notebook).splitlines(), MODULE, 'EXP_MSA.ipynb', n=3
        )
    )


def test_the_module_is_what_the_notebook_gives(complete):
    """Byte for byte."""
    written = (ROOT / MODULE).read_bytes()
    lines = differences(written.decode(), complete)
    assert written == mirror(complete).encode(), '\n'.join(['run make mirror', *lines])


@pytest.mark.parametrize(
    ('cell', 'old', 'new', 'named'),
    [
        ('mosi-dataset', 'len(self.labels)', 'len(self.vision)', 'def __len__'),
        ('multiclass-acc', 'np.round(y_true)', 'np.trunc(y_true)', 'def multiclass_acc'),
        ('utterance-summary', '# (number of frames, D)', '# (N, D)', 'class UtteranceSummary'),
        ('silence', 'dropout option adds', 'dropout adds', 'dropout adds'),
    ],
)
def test_a_changed_definition_is_named(complete, cell, old, new, named):
    """The failure of the test above shows where: a change of a comment counts too."""
    lines = differences(mirror(complete), changed(complete, cell, old, new))
    assert any(line.startswith('+') and new in line for line in lines)
    context = mirror(changed(complete, cell, old, new)).split(new)[0]
    assert named in context or named == new


def test_a_cell_that_defines_and_does_something_else_is_refused(complete):
    notebook = changed(
        complete, 'multiclass-acc', 'def multiclass_acc', 'x = 1\ndef multiclass_acc'
    )
    with pytest.raises(ValueError, match='cell multiclass-acc'):
        mirror(notebook)


def test_the_module_shows_its_definitions_and_hides_its_imports():
    names = set(dir(msa_utils))
    assert not names & {'math', 'pd', 'np', 'nn', 'plt', 'os', 'sys', 'torch', 'warnings', 'tqdm'}
    assert {'MOSIDataset', 'ImprovedSentimentModel', 'main', 'eval_mosi_regression'} <= names
    assert '*' not in re.findall(r'import (.+)', (ROOT / MODULE).read_text(encoding='utf-8'))


def test_the_module_does_nothing_when_it_is_imported(workdir, capfd):
    spec = importlib.util.spec_from_file_location('again', ROOT / MODULE)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert capfd.readouterr() == ('', '')
    assert list(workdir.iterdir()) == []


def test_the_points_are_those_of_the_cells(complete):
    notebook = copy.deepcopy(complete)
    write_points(notebook)
    for now, then in zip(notebook.cells, complete.cells, strict=True):
        assert now.source == then.source, f'cell {now.id}: run make mirror'


def test_other_points_are_written_everywhere(complete):
    notebook = copy.deepcopy(complete)
    graded = [c for c in notebook.cells if c.metadata.get('nbgrader', {}).get('grade')]
    graded[0].metadata.nbgrader.points += 4
    graded[-1].metadata.nbgrader.points += 1
    write_points(notebook)
    first, last = (list(tasks_of(notebook).values())[i] for i in (0, -1))
    (overview,) = [cell.source for cell in notebook.cells if cell.id == 'tasks']
    for task, cell in ((first, graded[0]), (last, graded[-1])):
        assert f'| {task.name} | {task.title} | {task.points} |' in overview
        assert f'（{task.points} 分）' in cell.source
    total = sum(task.points for task in tasks_of(notebook).values())
    assert f'一共 {total} 分' in overview
    assert total == sum(task.points for task in tasks_of(complete).values()) + 5
