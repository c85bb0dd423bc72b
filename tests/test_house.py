"""What README and the Makefile promise to each other."""

import re
import textwrap
from pathlib import Path

import pytest

import msa_utils
from msa_lab.study import Experiment

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')
MAKEFILE = (ROOT / 'Makefile').read_text(encoding='utf-8')
TARGETS = set(re.findall(r'^([a-z-]+):', MAKEFILE, re.MULTILINE))


def test_every_make_command_of_the_readme_exists():
    mentioned = set(re.findall(r'\bmake ([a-z-]+)', README)) - {'sure'}
    assert mentioned <= TARGETS
    assert {'run', 'test', 'lab', 'lint', 'calibrate'} <= mentioned


def test_help_lists_every_target_that_a_reader_wants():
    described = set(re.findall(r'^([a-z-]+):.*##', MAKEFILE, re.MULTILINE))
    assert described == TARGETS
    for target in TARGETS - {'help', 'venv'}:
        assert re.search(rf'^{target}: venv\b', MAKEFILE, re.MULTILINE), target


def test_continuous_integration_runs_the_commands_of_the_readme():
    script = (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
    assert re.findall(r'^make (\w+)$', script, re.MULTILINE) == ['lint', 'test']


def test_every_file_that_the_readme_names_is_there():
    for path in re.findall(r'\]\((?!http)([^)#]+)\)', README):
        assert (ROOT / path).exists(), path


def test_the_ablation_of_the_readme_works(batch):
    """The cell that README shows is at most ten lines and gives a model that trains."""
    (cell,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    lines = textwrap.dedent('  ' + cell.lstrip()).strip()
    assert len(lines.splitlines()) <= 10
    scope = {'experiments': []} | {name: getattr(msa_utils, name) for name in dir(msa_utils)}
    exec(lines, scope | {'Experiment': Experiment}, scope)
    (experiment,) = scope['experiments']
    output = experiment.build()(*batch)
    assert output.shape == (16, 1)
    output.sum().backward()


def test_requirements_are_pinned():
    for name in ('requirements.txt', 'requirements-dev.txt'):
        for line in (ROOT / name).read_text(encoding='utf-8').splitlines():
            if line and not line.startswith(('#', '-r ')):
                assert re.fullmatch(r'[\w.\[\]-]+==[\w.]+', line), line


@pytest.mark.parametrize('name', ['*.pkl', '/data/', 'best_model.pth*', 'runs/', 'build/'])
def test_data_and_results_are_never_committed(name):
    assert name in (ROOT / '.gitignore').read_text(encoding='utf-8').splitlines()


def test_no_file_grows_beyond_what_one_reads():
    for path in (*ROOT.glob('*.py'), *ROOT.glob('msa_lab/*.py')):
        assert len(path.read_text(encoding='utf-8').splitlines()) <= 400, path.name
