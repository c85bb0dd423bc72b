"""Many trainings, side by side: every (experiment, seed) once, in parallel, resumable.

The study knows nothing of the lab's code. Data, training and evaluation come in as arguments, so
it serves functions that a student defines in a notebook just as well. It runs on joblib: all
cores by default, a Dask cluster inside `joblib.parallel_config(backend='dask')`.
"""

import hashlib
import json
import math
import os
import random
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from torch import nn
from tqdm import tqdm

from msa_lab.study.fingerprint import fingerprint

CHECKPOINT, RESULT, UNFINISHED = 'best_model.pth', 'result.json', '.unfinished'
JOBS_ON_A_GPU = 4  # each takes memory of its own and some seconds to start; a guess


@dataclass(frozen=True)
class Experiment:
    """One thing to train: `build()` gives the module; without a `criterion` the module's own
    `criterion()` is used, else MSELoss. `note` says in a few words what differs.
    """

    name: str
    build: Callable
    criterion: nn.Module | None = None
    note: str = ''


def run_study(
    experiments, *, data, train, evaluate, seeds, epochs, runs_dir='runs', n_jobs=-1,
    build_kwargs=None,
):  # fmt: skip
    """Train every experiment with every seed; one row each, in that order, as a DataFrame.

    `data` is anything that can be pickled (a `Path` in it stands for the file's content);
    `train(model, criterion, data, *, epochs, checkpoint, log_dir)` returns the history, a list of
    dicts with `epoch` and the validation metrics, and leaves the best weights in `checkpoint`;
    `evaluate(model, criterion, data, *, checkpoint)` returns the test metrics, a dict;
    `build_kwargs` go to every `build` (feature widths that are not the models' defaults).

    Columns: `experiment`, `seed`, `best_epoch` (from 1), `valid_*` and `test_*`, `parameters`,
    `seconds`, `run`, `error` (empty, or why the run failed: the others go on). A finished run is
    kept in the folder `run` of `runs_dir` (`best_model.pth`, `result.json`, TensorBoard's files).
    Its name covers experiment, code, data, seed and epochs, and it is never repeated; a failed one
    is tried again, a damaged one done again. Two studies may share `runs_dir`. Nothing but
    `seconds` depends on the order of the runs, on `n_jobs` or on the backend. `n_jobs=-1` is a
    process for every core, or at most 4 that share a GPU (a Dask cluster has its own number).
    """
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names) or not names or not seeds:
        raise ValueError(f'a study needs seeds and experiments with different names; got {names}')
    Path(runs_dir).mkdir(parents=True, exist_ok=True)
    runs_dir = Path(runs_dir).resolve()
    _remove_abandoned(runs_dir)
    shared = fingerprint(data, train, evaluate, epochs, build_kwargs or {}, torch.__version__)
    rows, pending = {}, []
    for experiment in experiments:
        key = fingerprint(experiment.name, experiment.build, experiment.criterion, shared)
        for seed in seeds:
            folder = runs_dir / f'{_slug(experiment.name)}-seed{seed}-{key}'
            rows[experiment.name, seed] = row = _read_result(folder)
            if row is None:
                pending.append((experiment, seed, folder))
                if folder.exists():
                    print(f'{folder.name}: the result is damaged; this run is done again')

    if n_jobs == -1 and torch.cuda.is_available():
        n_jobs = min(joblib.cpu_count(), JOBS_ON_A_GPU)
    finished = joblib.Parallel(n_jobs=n_jobs, batch_size=1, return_as='generator_unordered')(
        joblib.delayed(_run)(experiment, seed, folder, data, train, evaluate, epochs, build_kwargs)
        for experiment, seed, folder in pending
    )
    done = len(rows) - len(pending)
    bar = tqdm(total=len(rows), initial=done, desc='runs', file=sys.stdout, ncols=88)
    with bar, warnings.catch_warnings():
        # joblib replaces a worker that has grown, as with a GPU's libraries; nothing is lost.
        warnings.filterwarnings('ignore', message='A worker stopped while some jobs were given')
        for row in finished:
            rows[row['experiment'], row['seed']] = row
            bar.update()
    return _tidy(pd.DataFrame(rows.values()))


def _slug(name):
    """The name with nothing in it that a file name cannot hold."""
    return ''.join(c if c.isalnum() else '-' for c in name).strip('-')


def _tidy(table):
    """The columns in their order: metrics as the experiments gave them, seconds and error last."""
    first, last = ['experiment', 'seed', 'best_epoch'], ['parameters', 'seconds', 'run', 'error']
    metrics = [c for c in table if c.startswith('valid_')] + [
        c for c in table if c.startswith('test_')
    ]
    return table.reindex(columns=[*first, *metrics, *last])


def _read_result(folder):
    """The row of a finished run, None where there is none or it cannot be trusted any more."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding='utf-8'))
        return result['row'] if result['sha256'] == _fingerprint(result['row'], folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fingerprint(row, folder):
    """A SHA-256 over a row and the checkpoint that goes with it, as hexadecimal digits."""
    fingerprint = hashlib.sha256(json.dumps(row).encode())
    fingerprint.update((folder / CHECKPOINT).read_bytes())
    return fingerprint.hexdigest()


def _run(experiment, seed, folder, data, train, evaluate, epochs, build_kwargs):
    """One training and its test in this process, on one thread; returns its row."""
    threads = torch.get_num_threads()
    row = {'experiment': experiment.name, 'seed': seed, 'run': folder.name, 'error': ''}
    start = time.perf_counter()
    try:
        with _claimed(folder) as unfinished:
            if (finished := _read_result(folder)) is not None:
                return finished
            torch.set_num_threads(1)
            row |= _train_and_test(
                experiment, seed, unfinished, data, train, evaluate, epochs, build_kwargs
            )
            row['seconds'] = round(time.perf_counter() - start, 2)
            result = {'row': row, 'sha256': _fingerprint(row, unfinished)}
            (unfinished / RESULT).write_text(json.dumps(result), encoding='utf-8')
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            os.rename(unfinished, folder)
    except Exception as error:  # whatever a student's model does, the other runs go on
        row['error'] = ' '.join(f'{type(error).__name__}: {error}'.split())
        row['seconds'] = round(time.perf_counter() - start, 2)
    finally:
        torch.set_num_threads(threads)
    return row


@contextmanager
def _claimed(folder):
    """An empty folder in which to do the run `folder`; nobody else does it meanwhile.

    The lock is free again when this process ends, however it ends: another study that wants the
    same run waits for it and then finds its result, or starts over what a killed one left.
    """
    unfinished = folder.parent / UNFINISHED / folder.name
    unfinished.parent.mkdir(exist_ok=True)
    with FileLock(f'{unfinished}.lock') as lock:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            yield unfinished
        finally:
            _remove(unfinished, lock)


def _remove(unfinished, lock):
    """Remove what is left of a run, and the file of the lock, which is held."""
    shutil.rmtree(unfinished, ignore_errors=True)
    with suppress(OSError):  # Windows keeps a file that is open; it is empty
        os.unlink(lock.lock_file)


def _remove_abandoned(runs_dir):
    """Remove what killed studies left half done, whatever run it was."""
    for path in (runs_dir / UNFINISHED).glob('*.lock'):
        with suppress(Timeout), FileLock(path, timeout=0) as lock:
            _remove(path.with_suffix(''), lock)


def _train_and_test(experiment, seed, folder, data, train, evaluate, epochs, build_kwargs):
    """What is measured of one run, as columns of its row."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    model = experiment.build(**build_kwargs or {})
    criterion = experiment.criterion
    if criterion is None:
        criterion = model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()
    checkpoint = folder / CHECKPOINT
    history = train(
        model, criterion, data, epochs=epochs, checkpoint=str(checkpoint), log_dir=str(folder)
    )
    best = max(history, key=lambda r: -math.inf if math.isnan(r['Corr']) else r['Corr'])
    test = evaluate(model, criterion, data, checkpoint=str(checkpoint))
    return {
        'best_epoch': best['epoch'],
        **{f'valid_{name}': best[name] for name in test},
        **{f'test_{name}': value for name, value in test.items()},
        'parameters': sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
