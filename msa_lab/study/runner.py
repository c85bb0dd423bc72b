"""Many trainings, one for every experiment and seed: in parallel, and resumable.

`run_study` trains and validates. Nothing here reads the test split but `evaluate_chosen`, which
takes experiments that are trained, when the choice between them is on the disk.

The study knows nothing of the lab's code. Data, training and evaluation come in as arguments, so
it serves functions that a student defines in a notebook just as well. It runs on joblib: all
cores by default, and a Dask cluster inside `joblib.parallel_config(backend='dask')`.
"""

import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from msa_lab.models import count_parameters
from msa_lab.speed import default_device, read_padding_once
from msa_lab.study.fingerprint import fingerprint, module_classes
from msa_lab.study.run_folders import (
    CHECKPOINT,
    publish,
    read_row,
    remove_abandoned,
    working_folder,
)
from msa_lab.study.seeds import own_random_numbers, set_seed

JOBS_ON_A_GPU = 4  # each takes memory of its own and some seconds to start; a guess
PREDICTED = ['video', 'y_true', 'y_pred']


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
    evaluate: Callable[..., tuple[dict, pd.DataFrame]]
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
    evaluate: Callable[..., tuple[dict, pd.DataFrame]],
    seeds: Sequence[int],
    epochs: int,
    runs_dir: str | Path = 'runs',
    n_jobs: int = -1,
    build_options: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """Train and validate every experiment with every seed; returns a DataFrame, one row for each.

    `data` is anything that can be pickled; a `Path` in it stands for the content of the file.
    `train(model, data, criterion, *, epochs, checkpoint, log_dir)` writes the best weights to the
    file `checkpoint` and returns the history: a dict for every epoch, with `epoch` (from 1) and
    the validation `Corr`. `evaluate(model, data, criterion, checkpoint)` returns the metrics of
    these weights on the validation split, a dict, and the predictions, a DataFrame with N rows and
    the columns `video` (whose utterance it is), `y_true` and `y_pred`. `build_options` are keyword
    arguments for every `build`, as the widths of the features.

    Columns: `experiment`, `seed`, `best_epoch` (from 1), `valid_*` (the metrics), `parameters`,
    `seconds`, `run`, `error` (empty, or why the run failed; the others go on), and the columns of
    the predictions, an array (N,) each.

    With one seed all experiments see the batches in the same order, whatever their models draw. A
    finished run is kept in the folder `run` of `runs_dir` and not repeated; its name depends on the
    experiment, code, data, seed and epochs. Runs that failed or are damaged are done again. Nothing
    but `seconds` depends on the order of the runs or on `n_jobs`, the number of processes: -1 is
    one for every core, and at most 4 on a GPU.
    """
    experiments = _with_options(experiments, build_options)
    _require_different_names(experiments, seeds)
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
    return _arrange_columns(rows.values(), 'valid_')


def evaluate_chosen(
    experiments: Sequence[Experiment],
    results: pd.DataFrame,
    *,
    data: Any,
    evaluate: Callable[..., tuple[dict, pd.DataFrame]],
    choice: str | Path,
    runs_dir: str | Path = 'runs',
    n_jobs: int = -1,
    build_options: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """What trained experiments do on the test split: a table like that of `run_study`.

    `results` is a table of `run_study`, with runs of these experiments; `evaluate` is as there, but
    reads the test split, and the metrics stand in columns `test_*`. `choice` is the file in which
    the choice between the experiments was written down: FileNotFoundError without it, because
    who has read the test split cannot choose any more. Failed runs keep their error. The other
    arguments are those that `run_study` had.
    """
    if not Path(choice).is_file():
        raise FileNotFoundError(f'{choice}: write the choice down before the test split is read')
    by_name = {e.name: e for e in _with_options(experiments, build_options)}
    folder = Path(runs_dir).absolute()  # a worker may stand in another directory
    rows = results[results['experiment'].isin(by_name)].drop(columns=PREDICTED).to_dict('records')
    tested = joblib.Parallel(n_jobs=_processes(n_jobs))(
        joblib.delayed(_evaluate)(
            by_name[row['experiment']], data, evaluate, folder / row['run'] / CHECKPOINT
        )
        for row in rows
        if not row['error']
    )
    for row in rows:
        if not row['error']:
            metrics, predictions = tested.pop(0)
            row |= {f'test_{name}': value for name, value in metrics.items()}
            row |= {name: predictions[name].to_numpy() for name in PREDICTED}
    return _arrange_columns(rows, 'test_')


def _require_different_names(experiments, seeds):
    """Raise ValueError for a study that has nothing to do, or two experiments of one name."""
    names = [experiment.name for experiment in experiments]
    if len(set(names)) < len(names) or not names or not seeds:
        raise ValueError(f'a study needs seeds and experiments with different names; got {names}')


def _with_options(experiments, build_options):
    """The experiments with these keyword arguments for every build."""
    return [replace(e, build=partial(e.build, **(build_options or {}))) for e in experiments]


def _list_runs(experiments, seeds, protocol, runs_dir):
    """The runs of a study, in the order of its table."""
    settings = (protocol.data, protocol.train, protocol.evaluate, protocol.epochs)
    common = fingerprint(*settings, torch.__version__)
    for experiment in experiments:
        built = _classes_built_by(experiment.build)
        key = fingerprint(experiment.name, experiment.build, experiment.criterion, built, common)
        name = ''.join(c if c.isalnum() else '-' for c in experiment.name).strip('-')
        for seed in seeds:
            yield Run(experiment, seed, runs_dir / f'{name}-seed{seed}-{key}')


def _classes_built_by(build):
    """The classes of the model that `build` returns; none when it fails, as its run will report."""
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        try:
            return module_classes(build())
        except Exception:
            return []


def _perform_all(runs, protocol, n_jobs):
    """Perform the runs in parallel; yields their rows in the order in which they end."""
    parallel = joblib.Parallel(
        n_jobs=_processes(n_jobs), batch_size=1, return_as='generator_unordered'
    )
    with warnings.catch_warnings():
        # joblib replaces a worker that has grown, as with a GPU's libraries; nothing is lost.
        warnings.filterwarnings('ignore', message='A worker stopped while some jobs were given')
        yield from parallel(joblib.delayed(_perform)(run, protocol) for run in runs)


def _processes(n_jobs):
    """The number of processes that joblib is asked for: few share a GPU."""
    few = n_jobs == -1 and torch.cuda.is_available()
    return min(joblib.cpu_count(), JOBS_ON_A_GPU) if few else n_jobs


@contextmanager
def _one_thread():
    """In its block PyTorch computes on one thread, so that no result depends on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _evaluate(experiment, data, evaluate, checkpoint):
    """The metrics and predictions of one trained model, on one thread."""
    with _one_thread():
        model = experiment.build()
        return evaluate(model, data, _criterion_of(experiment, model), str(checkpoint))


def _perform(run, protocol):
    """Perform one run in this process, on one thread; returns its row, with the error if any."""
    row = {
        'experiment': run.experiment.name,
        'seed': run.seed,
        'run': run.folder.name,
        'error': '',
    }
    start = time.perf_counter()
    try:
        if (finished := read_row(run.folder)) is not None:  # another study did it meanwhile
            return finished
        with _one_thread(), working_folder(run.folder) as folder:
            measured, predictions = _train_and_validate(run, folder, protocol)
            row |= measured | {'seconds': round(time.perf_counter() - start, 2)}
            return publish(row, predictions, folder, run.folder)
    except Exception as error:  # whatever a student's model does, the other runs go on
        row['error'] = ' '.join(f'{type(error).__name__}: {error}'.split())
        row['seconds'] = round(time.perf_counter() - start, 2)
        return row


def _train_and_validate(run, folder, protocol):
    """Train and validate in the folder: the measured columns but `seconds`, the predictions."""
    set_seed(run.seed)
    model = run.experiment.build().to(default_device())  # what follows asks where the model is
    criterion = _criterion_of(run.experiment, model)
    checkpoint = str(folder / CHECKPOINT)
    drawing = [part for part in (model, criterion) if isinstance(part, nn.Module)]
    set_seed(run.seed)
    with read_padding_once(model), own_random_numbers(*drawing):
        history = protocol.train(
            model,
            protocol.data,
            criterion,
            epochs=protocol.epochs,
            checkpoint=checkpoint,
            log_dir=str(folder),
        )
    best = max(history, key=lambda r: -math.inf if math.isnan(r['Corr']) else r['Corr'])
    metrics, predictions = protocol.evaluate(model, protocol.data, criterion, checkpoint)
    measured = {
        'best_epoch': best['epoch'],
        **{f'valid_{name}': value for name, value in metrics.items()},
        'parameters': count_parameters(model),
    }
    return measured, predictions[PREDICTED]


def _criterion_of(experiment, model):
    """The loss of an experiment: its own, else that of the model, else the MSE."""
    if experiment.criterion is not None:
        return experiment.criterion
    return model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()


def _arrange_columns(rows, prefix):
    """A table with its columns in order; metrics keep the order that `evaluate` gave them."""
    table = pd.DataFrame(list(rows))
    metrics = [column for column in table if column.startswith(prefix)]
    first, last = ['experiment', 'seed', 'best_epoch'], ['parameters', 'seconds', 'run', 'error']
    return table.reindex(columns=[*first, *metrics, *last, *PREDICTED])
