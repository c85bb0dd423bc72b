"""Nothing is lost: real `kill -9` at random moments, and writes that a full disk cuts short."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from msa_lab.data import ensure_data, load_split
from msa_lab.data.synthetic import SYNTHETIC_PATH, write_standin
from msa_lab.files import atomic_write
from msa_lab.files.atomic import STALE_SECONDS
from msa_lab.files.checkpoints import load_checkpoint, save_checkpoint
from tests.packings import TINY

ROOT = Path(__file__).parent.parent
KILLS = {'Checkpoints': 16, 'StandIn': 10, 'Logs': 8, 'Study': 8, 'TwoStudies': 3}


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
@pytest.mark.parametrize('victim', KILLS)
def test_what_a_kill_leaves_is_whole(workdir, victim):
    """45 kills in all; most of them, whatever the machine is doing, hit the middle of the work."""
    command = [sys.executable, '-m', 'tests.kills', victim, str(KILLS[victim]), '0']
    env = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])['kills'] >= 0.7 * KILLS[victim]


def test_there_are_enough_kills():
    """That hit, in the worst case that the test above lets pass."""
    assert sum(math.ceil(0.7 * count) for count in KILLS.values()) >= 30


@pytest.fixture
def small_disk():
    """No file may grow beyond 100 kB: writing fails in the middle, as on a full disk."""
    resource = pytest.importorskip('resource', reason='needs POSIX limits')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_does_not_fit_leaves_the_old_one(workdir, request):
    model = nn.Linear(200, 200)
    save_checkpoint(model, 'best_model.pth')
    before = model.weight.clone()
    nn.init.zeros_(model.weight)
    request.getfixturevalue('small_disk')
    with pytest.raises(OSError, match=r'best_model\.pth was not written, the older file stays: '):
        save_checkpoint(model, 'best_model.pth')
    load_checkpoint(model, 'best_model.pth')
    assert torch.equal(model.weight, before)
    assert os.listdir() == ['best_model.pth']


def test_a_standin_that_does_not_fit_is_not_there(workdir, small_disk):
    with pytest.raises(OSError, match=r'synthetic\.pkl was not written: '):
        ensure_data('synthetic')
    assert not os.listdir('data')


def test_a_damaged_standin_is_reported_and_made_anew(workdir, capsys, monkeypatch):
    monkeypatch.setattr(
        'msa_lab.data.synthetic.write_standin', lambda path: write_standin(path, **TINY)
    )
    whole = ensure_data('synthetic').read_bytes()
    assert capsys.readouterr().out == ''
    SYNTHETIC_PATH.write_bytes(whole[:-1000])
    ensure_data('synthetic')
    message = capsys.readouterr().out
    assert 'synthetic.pkl: it is cut off' in message
    assert 'it is made anew' in message
    assert SYNTHETIC_PATH.read_bytes() == whole
    assert len(load_split(SYNTHETIC_PATH)) == 6


@pytest.mark.parametrize('raw', [b'', b'text', b'\x80\x02}.', None])
def test_a_damaged_checkpoint_is_named_in_one_line(workdir, raw):
    save_checkpoint(nn.Linear(4, 1), 'a.pth')
    whole = Path('a.pth').read_bytes()
    Path('a.pth').write_bytes(whole[: len(whole) // 2] if raw is None else raw)
    with pytest.raises(ValueError, match=r'a\.pth is damaged or no checkpoint: train') as caught:
        load_checkpoint(nn.Linear(4, 1), 'a.pth')
    assert '\n' not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r'no checkpoint b\.pth: train the model first'):
        load_checkpoint(nn.Linear(4, 1), 'b.pth')


def test_what_killed_writers_left_beside_a_file_goes_after_an_hour(workdir):
    fresh, stale = Path('.[a].1.tmp'), Path('.[a].2.tmp')
    fresh.touch()
    stale.touch()
    old = time.time() - STALE_SECONDS - 1
    os.utime(stale, (old, old))
    with atomic_write('[a]') as file:
        file.write(b'content')
    assert sorted(os.listdir()) == ['.[a].1.tmp', '[a]']


def test_an_exception_while_writing_leaves_the_old_file(workdir):
    def write_half():
        with atomic_write('a') as file:
            file.write(b'half')
            raise KeyboardInterrupt

    Path('a').write_bytes(b'old')
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert Path('a').read_bytes() == b'old'
    assert os.listdir() == ['a']
