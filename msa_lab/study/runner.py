"""Many trainings, one for every experiment and seed: in parallel, and resumable.

The study knows nothing of the lab's code. Data, training and evaluation come in as arguments, so
it serves functions that a student defines in a notebook just as well. It runs on joblib: all
cores by default, and a Dask cluster inside `joblib.parallel_config(backend='dask')`.
"""

import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from msa_lab.models import count_parameters
from msa_lab.study.fingerprint import fingerprint
from msa_lab.study.run_folders import (
    CHECKPOINT,
    publish,
    read_row,
    remove_abandoned,
    working_folder,
)
from msa_lab.study.seeds import set_seed

JOBS_ON_A_GPU = 4  # each takes memory of its own and some seconds to start; a guess


@dataclass(frozen=True)
class Experiment:
    """A model to train in a study, under a name that no other experiment of the study has.

    `build()` returns the module, newly initialised. `criterion` is the loss; where it is None, the
    loss is what the module's method `criterion()` returns, or `nn.MSELoss()` if it has none.
    """

    name: str
    build: Callable[[], nn.Module]
    criterion: nn.Module | None = None


@dataclass(frozen=True)
class Protocol:
    """What all runs of a study have in common; the fields are arguments of `run_study`."""

    data: Any
    train: Callable[..., list[dict]]
    evaluate: Callable[..., dict]
    epochs: int


@dataclass(frozen=True)
class Run:
    """One training: an experiment, a seed, and the folder that keeps the result."""

    experiment: Experiment
    seed: int
    folder: Path


def run_study(
    experiments: Sequence[Experiment],
    *,
    data: Any,
    train: Callable[..., list[dict]],
    evaluate: Callable[..., dict],
    seeds: Sequence[int],
    epochs: int,
    runs_dir: str | Path = 'runs',
    n_jobs: int = -1,
) -> pd.DataFrame:
    """Train and test every experiment with every seed; returns a DataFrame, one row for each.

    `data` is anything that can be pickled; a `Path` in it stands for the content of the file.
    `train(model, data, criterion, *, epochs, checkpoint, log_dir)` writes the best weights to the
    file `checkpoint` and returns the history: a dict for every epoch, with `epoch` (from 1) and
    the validation metrics, `Corr` among them. `evaluate(model, data, criterion, checkpoint)`
    returns the test metrics, a dict; the history has metrics of the same names.

    Columns: `experiment`, `seed`, `best_epoch` (from 1, the epoch of the highest validation
    `Corr`), `valid_*` (at that epoch), `test_*`, `parameters`, `seconds`, `run`, and `error`:
    empty, or the reason why a run failed; the other runs go on.

    A finished run is kept in the folder `run` of `runs_dir` and not repeated. The folder's name
    depends on the experiment, code, data, seed and epochs. Runs that failed, were killed or are
    damaged on the disk are done again. Nothing but `seconds` depends on the order of the runs or
    on `n_jobs`, the number of processes: -1 is one for every core, and at most 4 on a GPU.
    """
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names) or not names or not seeds:
        raise ValueError(f'a study needs seeds and experiments with different names; got {names}')
    remove_abandoned(Path(runs_dir))
    protocol = Protocol(data, train, evaluate, epochs)
    rows, pending = {}, []
    for run in _list_runs(experiments, seeds, protocol, Path(runs_dir).absolute()):
        rows[run.experiment.name, run.seed] = row = read_row(run.folder)
        if row is None:
            pending.append(run)
            if run.folder.exists():
                print(f'{run.folder.name}: the result is damaged; this run is done again')
    done = len(rows) - len(pending)
    with tqdm(total=len(rows), initial=done, desc='runs', file=sys.stdout, ncols=88) as bar:
        for row in _perform_all(pending, protocol, n_jobs):
            rows[row['experiment'], row['seed']] = row
            bar.update()
    return _arrange_columns(pd.DataFrame(rows.values()))


def _list_runs(experiments, seeds, protocol, runs_dir):
    """The runs of a study, in the order of its table."""
    settings = (protocol.data, protocol.train, protocol.evaluate, protocol.epochs)
    common = fingerprint(*settings, torch.__version__)
    for experiment in experiments:
        key = fingerprint(experiment.name, experiment.build, experiment.criterion, common)
        name = ''.join(c if c.isalnum() else '-' for c in experiment.name).strip('-')
        for seed in seeds:
            yield Run(experiment, seed, runs_dir / f'{name}-seed{seed}-{key}')


def _perform_all(runs, protocol, n_jobs):
    """Perform the runs in parallel; yields their rows in the order in which they end."""
    if n_jobs == -1 and torch.cuda.is_available():
        n_jobs = min(joblib.cpu_count(), JOBS_ON_A_GPU)
    parallel = joblib.Parallel(n_jobs=n_jobs, batch_size=1, return_as='generator_unordered')
    with warnings.catch_warnings():
        # joblib replaces a worker that has grown, as with a GPU's libraries; nothing is lost.
        warnings.filterwarnings('ignore', message='A worker stopped while some jobs were given')
        yield from parallel(joblib.delayed(_perform)(run, protocol) for run in runs)


def _perform(run, protocol):
    """Perform one run in this process, on one thread; returns its row, with the error if any."""
    row = {
        'experiment': run.experiment.name,
        'seed': run.seed,
        'run': run.folder.name,
        'error': '',
    }
    threads = torch.get_num_threads()
    start = time.perf_counter()
    try:
        torch.set_num_threads(1)
        if (finished := read_row(run.folder)) is not None:  # another study did it meanwhile
            return finished
        with working_folder(run.folder) as folder:
            row |= _train_and_test(run, folder, protocol)
            row['seconds'] = round(time.perf_counter() - start, 2)
            return publish(row, folder, run.folder)
    except Exception as error:  # whatever a student's model does, the other runs go on
        row['error'] = ' '.join(f'{type(error).__name__}: {error}'.split())
        row['seconds'] = round(time.perf_counter() - start, 2)
        return row
    finally:
        torch.set_num_threads(threads)


def _train_and_test(run, folder, protocol):
    """Train and test in the folder; returns the measured columns of the row, but `seconds`."""
    set_seed(run.seed)
    model = run.experiment.build()
    criterion = run.experiment.criterion
    if criterion is None:
        criterion = model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()
    checkpoint = str(folder / CHECKPOINT)
    history = protocol.train(
        model,
        protocol.data,
        criterion,
        epochs=protocol.epochs,
        checkpoint=checkpoint,
        log_dir=str(folder),
    )
    best = max(history, key=lambda r: -math.inf if math.isnan(r['Corr']) else r['Corr'])
    test = protocol.evaluate(model, protocol.data, criterion, checkpoint)
    return {
        'best_epoch': best['epoch'],
        **{f'valid_{name}': best[name] for name in test},
        **{f'test_{name}': value for name, value in test.items()},
        'parameters': count_parameters(model),
    }


def _arrange_columns(table):
    """The table with its columns in order; metrics keep the order that `evaluate` gave them."""
    metrics = [c for split in ('valid_', 'test_') for c in table if c.startswith(split)]
    first, last = ['experiment', 'seed', 'best_epoch'], ['parameters', 'seconds', 'run', 'error']
    return table.reindex(columns=[*first, *metrics, *last])
