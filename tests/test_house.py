"""What README and the Makefile promise to each other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')
MAKEFILE = (ROOT / 'Makefile').read_text(encoding='utf-8')
TARGETS = set(re.findall(r'^([a-z]+):', MAKEFILE, re.MULTILINE))


def test_every_make_command_of_the_readme_exists():
    mentioned = set(re.findall(r'\bmake ([a-z]+)\b', README)) - {'sure'}
    assert mentioned <= TARGETS
    assert {'run', 'test', 'lab', 'lint', 'calibrate'} <= mentioned


def test_help_lists_every_target_that_a_reader_wants():
    described = set(re.findall(r'^([a-z]+):.*##', MAKEFILE, re.MULTILINE))
    assert described == TARGETS
    for target in TARGETS - {'help', 'venv'}:
        assert re.search(rf'^{target}: venv\b', MAKEFILE, re.MULTILINE), target


def test_continuous_integration_runs_the_commands_of_the_readme():
    script = (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
    assert re.findall(r'^make (\w+)$', script, re.MULTILINE) == ['lint', 'test']


def test_every_file_that_the_readme_names_is_there():
    for path in re.findall(r'\]\((?!http)([^)#]+)\)', README):
        assert (ROOT / path).exists(), path


def test_requirements_are_pinned():
    for name in ('requirements.txt', 'requirements-dev.txt'):
        for line in (ROOT / name).read_text(encoding='utf-8').splitlines():
            if line and not line.startswith(('#', '-r ')):
                assert re.fullmatch(r'[\w.\[\]-]+==[\w.]+', line), line


@pytest.mark.parametrize('name', ['*.pkl', 'data/', 'best_model.pth*', 'runs/', 'build/'])
def test_data_and_results_are_never_committed(name):
    assert name in (ROOT / '.gitignore').read_text(encoding='utf-8').splitlines()


def test_the_module_stays_readable():
    lines = (ROOT / 'msa_utils.py').read_text(encoding='utf-8').splitlines()
    assert len(lines) <= 400
