"""`make venv` fetches the sentences: again and again until they are there, and never in the way."""

import shutil
import subprocess
from pathlib import Path

import pytest

from msa_lab.data.reviews import ARCHIVE, COMMAND

ROOT = Path(__file__).parent.parent
FAILING_PYTHON = '#!/bin/sh\necho "$*" >> calls.txt\nexit 1\n'


@pytest.mark.skipif(not shutil.which('make'), reason='needs make')
def test_the_sentences_are_tried_for_until_they_are_there(workdir):
    for name in ('Makefile', 'requirements.txt', 'requirements-dev.txt', 'constraints.txt'):
        shutil.copy(ROOT / name, name)
    python = Path('fake/bin/python')
    python.parent.mkdir(parents=True)
    python.write_text(FAILING_PYTHON)
    python.chmod(0o755)
    Path('fake/.installed').touch()

    def make_venv():
        result = subprocess.run(['make', 'venv', 'VENV=fake'], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr  # no network is no error
        calls = Path('calls.txt')
        return calls.read_text().splitlines() if calls.is_file() else []

    fetch = COMMAND.removeprefix('python ')
    assert make_venv() == [fetch]
    assert make_venv() == [fetch, fetch]
    ARCHIVE.parent.mkdir()
    ARCHIVE.touch()
    assert make_venv() == [fetch, fetch]
    Path('fake/.installed').touch()  # a new environment needs no new sentences
    assert make_venv() == [fetch, fetch]
