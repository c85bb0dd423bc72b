"""Mutated pickles do no harm, and the harness that says so would notice harm: see fuzz.py."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from msa_lab.data import DataError
from tests import fuzz, mutants

ROOT = Path(__file__).parent.parent


def test_mutants_end_as_valid_data_or_in_a_clear_error():
    """No mutant is bad, and the mutants are worth reading: both outcomes, errors of many kinds."""
    report = fuzz.fuzz(count=400)
    assert not report.bad, str(report)
    assert report.valid >= 20, str(report)
    assert report.errors.total() >= 200, str(report)
    assert len(report.errors) >= 6, str(report)


def test_every_hostile_value_of_every_field_ends_in_the_same_way():
    """What the random mutants may miss: each snippet where it is looked at."""
    files = mutants.hostile_fields()
    verdicts = list(fuzz.judge_all(files.items()))
    assert [(name, message) for name, verdict, message in verdicts if verdict == 'bad'] == []
    assert len(verdicts) == len(files) >= 200
    refused = [name for name, _, message in verdicts if 'nothing was executed' in message]
    assert len(refused) >= 5 * len(mutants.PAYLOADS)


def test_what_is_mutated_is_valid():
    """An error is due to the mutation."""
    verdicts = [verdict for _, verdict, _ in fuzz.judge_all(mutants.bases().items())]
    assert verdicts == ['valid'] * len(mutants.bases())


def test_a_mutant_depends_on_its_number_alone():
    """In another process, with other hashes and without the mutants before it, it is the same."""
    ours = [hashlib.sha256(mutants.mutant(number)).hexdigest() for number in (0, 7, 31)]
    code = (
        'import hashlib; from tests.mutants import mutant\n'
        'for number in (31, 7, 0): print(hashlib.sha256(mutant(number)).hexdigest())'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ours[::-1]
    assert len(set(ours)) == 3


def test_the_command_names_a_bad_mutant_and_fails(monkeypatch, capsys):
    """So that it can be repeated; without one it succeeds."""
    reports = [fuzz.Report(valid=1), fuzz.Report(valid=1, bad={17: 'a hang'})]
    for report, code in zip(reports, (0, 1), strict=True):
        monkeypatch.setattr(fuzz, 'fuzz', lambda count, seed, report=report: report)
        monkeypatch.setattr(sys, 'argv', ['fuzz', '--count', '2'])
        with pytest.raises(SystemExit) as caught:
            fuzz.main()
        assert caught.value.code == code
    assert '--seed 17 --count 1: a hang' in capsys.readouterr().out


# Readers that the harness must not let pass. They run in its child process.


def careless(path):
    """What the lab must never do."""
    return pickle.loads(path.read_bytes())


def test_every_payload_is_alive_and_the_harness_sees_it_run():
    """pickle.load executes each of them, the lab's reader none."""
    payloads = [(name, raw + b'.') for name, raw in mutants.PAYLOADS.items()]
    for name, verdict, message in fuzz.judge_all(payloads, 'tests.test_fuzz:careless'):
        assert (verdict, message[:8]) == ('bad', 'executed'), name
    for name, verdict, message in fuzz.judge_all(payloads):
        assert (verdict, 'nothing was executed' in message) == ('error', True), name


def hanging(path):
    while True:
        time.sleep(0.01)


def hanging_in_c(path):
    return 10 ** (10**9)


def crashing(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def leaving(path):
    os._exit(3)


def exiting(path):
    sys.exit(0)


def hungry(path):
    held = np.ones(400 << 20, np.uint8)
    return fuzz.read_all(path) if held.all() else None


def starving(path):
    try:
        return np.empty(1 << 40, np.uint8)
    except MemoryError as error:
        raise DataError(f'{path.name}: it is damaged ({type(error).__name__})') from None


def confused(path):
    raise KeyError('labels')


def talkative(path):
    raise DataError(f'{path.name}: what\nhow')


def nameless(path):
    raise DataError('a file is damaged')


def warning(path):
    warnings.warn('overflow', RuntimeWarning, stacklevel=1)
    return fuzz.read_all(path)


def forgetful(path):
    return {'train': fuzz.read_all(path)['train']}


def infinite(path):
    splits = fuzz.read_all(path)
    splits['test'].audio.flags.writeable = True
    splits['test'].audio[0, 0, 0] = np.inf
    return splits


def out_of_range(path):
    splits = fuzz.read_all(path)
    splits['test'].labels.flags.writeable = True
    splits['test'].labels[0] = 3.5
    return splits


@pytest.mark.parametrize(
    ('reader', 'expected'),
    [
        (hanging, 'a hang'),
        (hanging_in_c, 'a hang'),
        (crashing, 'signal SIGSEGV'),
        (leaving, 'exit status 3'),
        (exiting, 'SystemExit'),
        (hungry, 'MB of memory'),
        (starving, 'memory ran out'),
        (confused, "KeyError: 'labels'"),
        (talkative, 'an unclear message'),
        (nameless, 'an unclear message'),
        (warning, 'a stray warning'),
        (forgetful, 'not all splits'),
        (infinite, 'audio: not finite float32'),
        (out_of_range, 'labels out of range'),
    ],
)
def test_the_harness_notices(reader, expected):
    """A reader that does something wrong with a valid file."""
    if reader in (crashing, hungry, starving) and sys.platform != 'linux':
        pytest.skip('signals and memory are watched on Linux')
    limit = 0.5 if 'hanging' in reader.__name__ else 10
    files = [('a valid file', mutants.bases()['protocol 4'])]
    ((_, verdict, message),) = fuzz.judge_all(files, f'tests.test_fuzz:{reader.__name__}', limit)
    assert verdict == 'bad'
    assert expected in message
