"""Mutated pickles by the hundred: each must end as a valid data set or in one clear line.

`python -m tests.fuzz [--count 300] [--seed 0]` prints a summary and exits 1 if any mutant did
something else: hung, crashed, took too much memory, executed what it holds, or failed in a way
that is no `DataError`. Mutant N depends on its number alone: `--seed N --count 1` is that mutant
again, `tests.mutants.mutant(N)` are its bytes.

The mutants are read by a child process, so that one of them may kill it. It gets the path of one
after the other and answers with a verdict; without an answer, the mutant has killed it.
"""

import argparse
import faulthandler
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from msa_lab.data import LABEL_RANGE, SPLITS, STEPS, DataError, DataWarning, load_split
from tests.mutants import WIDTHS, mutant

ROOT = Path(__file__).parent.parent
LIMIT = 10  # seconds for one mutant
MEMORY = 256 << 20  # bytes that the child may grow by; a mutant has at most a few million
ADDRESS_SPACE = 1 << 30  # a wild request beyond this fails; it need not take the machine down

# The child: reads one mutant after the other.


def read_all(path):
    """What the lab does with a file: all splits of it, as {name: Split}."""
    return {split: load_split(path, split) for split in SPLITS}


def _find_broken_rule(splits):
    """The first rule of a valid data set that these splits break, or None."""
    if not isinstance(splits, dict) or [*splits] != [*SPLITS]:
        return 'not all splits'
    low, high = LABEL_RANGE
    for name, split in splits.items():
        arrays = {modality: getattr(split, modality) for modality in WIDTHS}
        for modality, array in arrays.items():
            width = getattr(splits['train'], modality).shape[-1]
            if array.shape != (len(split.labels), STEPS, width) or not width:
                return f'{name}, {modality}: shape {array.shape}'
            if array.dtype != np.float32 or not np.isfinite(array).all():
                return f'{name}, {modality}: not finite float32'
        if split.labels.dtype != np.float32 or split.labels.ndim != 1 or not len(split.labels):
            return f'{name}: labels of {split.labels.dtype} {split.labels.shape}'
        if not ((split.labels >= low) & (split.labels <= high)).all():
            return f'{name}: labels out of range'
        for texts in (split.ids, split.raw_text or split.ids):
            if len(texts) != len(split.labels) or not all(type(text) is str for text in texts):
                return f'{name}: ids or texts'
        if not all(split.words(i) for i in range(len(split))) or len(split.videos) != len(split):
            return f'{name}: words or videos'
    return None


def _is_unclear(message, path):
    """Whether a message is not one line that names the file."""
    return len(message.splitlines()) != 1 or path.name not in message


def _judge(reader, path):
    """The verdict on a mutant: ('valid', ''), ('error', its message) or ('bad', what is wrong)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            outcome = 'bad', _find_broken_rule(reader(path))
            if outcome[1] is None:
                outcome = 'valid', ''
        except DataError as error:
            outcome = 'error', str(error)
            if _is_unclear(outcome[1], path):
                outcome = 'bad', f'an unclear message: {outcome[1]!r}'
            elif 'MemoryError' in outcome[1]:
                outcome = 'bad', f'memory ran out: {outcome[1]}'
        except BaseException:
            outcome = 'bad', traceback.format_exc(limit=-4)
    for warning in caught:
        message = str(warning.message)
        if not issubclass(warning.category, DataWarning):
            outcome = 'bad', f'a stray warning: {warning.category.__name__}: {message}'
        elif _is_unclear(message, path):
            outcome = 'bad', f'an unclear warning: {message!r}'
    return outcome


def _read_memory(entry):
    """An entry of this process in /proc, in bytes: 'VmHWM' the peak, 'VmSize' addresses in use."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(entry):
            return int(line.split()[1]) << 10
    return 0


def serve(reader, limit):
    """Read a path per line of stdin, print a verdict per line; end at the first that is bad.

    Over the time limit the process ends too, even inside C code, after a traceback on stderr.
    """
    module, name = reader.split(':')
    reader = getattr(importlib.import_module(module), name)
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what a payload prints is no answer
    faulthandler.enable()
    watched = sys.platform == 'linux'
    if watched:
        import resource

        peak, hard = _read_memory('VmHWM'), resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_read_memory('VmSize') + ADDRESS_SPACE, hard))
    for line in iter(sys.stdin.readline, ''):
        faulthandler.dump_traceback_later(limit, exit=True)
        verdict = _judge(reader, Path(line.rstrip('\n')))
        faulthandler.cancel_dump_traceback_later()
        if watched and (used := _read_memory('VmHWM') - peak) > MEMORY:
            verdict = 'bad', f'{used >> 20} MB of memory; {verdict[1]}'
        print(json.dumps(verdict), file=answers, flush=True)
        if verdict[0] == 'bad':
            return


# The parent: makes the mutants and judges.


class _Child:
    """A process that reads mutants.

    `folder` is its current directory and holds nothing else; its stderr goes to the file `stderr`.
    """

    def __init__(self, reader, limit, folder, stderr):
        self.folder, self.limit, self.stderr = folder, limit, stderr
        self.process = subprocess.Popen(
            [sys.executable, '-c', f'from tests.fuzz import serve; serve({reader!r}, {limit})'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env=os.environ | {'PYTHONPATH': str(ROOT)},
            text=True,
        )

    def judge(self, name, raw):
        """The verdict on a pickle of these bytes, which is put into the file `name`."""
        path = self.folder / name
        path.write_bytes(raw)
        try:
            self.process.stdin.write(f'{path}\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ''
        path.unlink(missing_ok=True)
        verdict = json.loads(answer) if answer else ('bad', self.cause_of_death())
        if left := sorted(os.listdir(self.folder)):
            for other in left:
                (self.folder / other).unlink()
            return 'bad', f'executed: it wrote the file {left[0]!r}'
        return verdict

    def cause_of_death(self):
        """Why the process has ended (hang, signal or exit status), and the end of its stderr."""
        code = self.process.wait()
        self.stderr.seek(0)
        output = self.stderr.read().decode(errors='replace')[-2000:]
        if 'Timeout (' in output:
            return f'a hang, after {self.limit} s in\n{output}'
        name = f'signal {signal.Signals(-code).name}' if code < 0 else f'exit status {code}'
        return f'a crash: {name}\n{output}'


def judge_all(pickles, reader='tests.fuzz:read_all', limit=LIMIT):
    """Let a reader read pickles, {name: bytes} as pairs; yields (name, verdict, message)."""
    child, counter = None, itertools.count()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stderr:
        for name, raw in pickles:
            child = child or _Child(reader, limit, Path(folder), stderr)
            verdict, message = child.judge(f'mutant-{next(counter)}.pkl', raw)
            if verdict == 'bad':  # it may have been harmed
                child.process.communicate()
                child = None
                stderr.seek(0)
                stderr.truncate()
            yield name, verdict, message
        if child:
            child.process.communicate()


# Kinds of errors, by what the message says; the first that fits counts.
KINDS = (
    'refused',
    'is no pickle',
    'cut off',
    'damaged near',
    'instructions',
    'short strings',
    'nested',
    'is damaged',
    'is empty',
    'no split',
    'no field',
    'expected a dict',
    'expected an array',
    'expected shape',
    'expected numbers',
    'strings',
    'features per step',
    'not aligned',
)


@dataclass
class Report:
    """What became of the mutants; `bad` is {number: what went wrong}."""

    valid: int = 0
    errors: Counter = field(default_factory=Counter)
    bad: dict = field(default_factory=dict)

    def __str__(self):
        kinds = ', '.join(f'{count} {kind!r}' for kind, count in self.errors.most_common())
        count = self.valid + self.errors.total() + len(self.bad)
        lines = [
            f'{count} mutants: {self.valid} valid, {self.errors.total()} in a clear error '
            f'({kinds}), {len(self.bad)} BAD'
        ]
        for number, message in self.bad.items():
            lines.append(f'BAD: python -m tests.fuzz --seed {number} --count 1: {message}')
        return '\n'.join(lines)


def fuzz(count, seed=0):
    """Read the mutants `seed` to `seed + count - 1`; gives a `Report`."""
    report = Report()
    numbers = range(seed, seed + count)
    for number, verdict, message in judge_all((number, mutant(number)) for number in numbers):
        if verdict == 'valid':
            report.valid += 1
        elif verdict == 'error':
            report.errors[next((kind for kind in KINDS if kind in message), 'other')] += 1
        else:
            report.bad[number] = message
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=300, help='how many mutants')
    parser.add_argument('--seed', type=int, default=0, help='the number of the first')
    args = parser.parse_args()
    report = fuzz(args.count, args.seed)
    print(report)
    sys.exit(bool(report.bad))


if __name__ == '__main__':
    main()
