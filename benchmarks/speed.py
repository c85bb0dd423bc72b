"""How fast the lab is beside a naive completion of its contract (`naive.py`), as ratios.

`python -m benchmarks.speed` takes turns between the two, each sample in a process of its own, and
writes the section "Speed" of docs/results.md: a table of the CPU, and one of the GPU where there
is one. Machines are shared and noisy: only the ratios of one run count.
"""

import argparse
import json
import os
import pickle
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

import msa_utils
from benchmarks.naive import (
    NaiveDataset,
    NaiveModel,
    naive_epoch,
    naive_evaluate,
    naive_loaders,
    naive_study,
)
from msa_lab.data import SPLITS
from msa_lab.data.synthetic import make_standin, write_standin
from msa_lab.speed import faster, read_padding_once
from msa_lab.study import Experiment, run_study, set_seed

RESULTS = Path(__file__).parent.parent / 'docs' / 'results.md'
STUDY = {  # what a naive completion and the lab train: settings of the model, and its loss
    'baseline': ({}, nn.MSELoss()),
    'no LayerNorm': (dict(layer_norm=False), nn.MSELoss()),
    'text': (dict(modalities=('text',)), nn.MSELoss()),
    'text + audio': (dict(modalities=('text', 'audio')), nn.MSELoss()),
    'MAE loss': ({}, nn.L1Loss()),
    'Huber loss': ({}, nn.HuberLoss()),
}
SEEDS = (42, 43)


def make_files(folder):
    """The stand-in, and a file of the real one's size and type: float64, 360 MB."""
    write_standin(folder / 'standin.pkl')
    content = make_standin()
    for fields in content.values():
        for name in ('vision', 'text', 'audio', 'labels'):
            fields[name] = fields[name].astype(np.float64)
    with (folder / 'real_size.pkl').open('wb') as file:
        pickle.dump(content, file, protocol=4)


def load(side, folder, epochs):
    """All three splits of a file of the real one's size: float64, 360 MB."""
    path = folder / 'real_size.pkl'
    yield
    kept = [
        (NaiveDataset if side == 'naive' else msa_utils.MOSIDataset)(path, split)
        for split in SPLITS
    ]
    assert sum(map(len, kept)) == 2199


def load_bare(side, folder, epochs):
    """The same, against `pickle.load` alone, three times, keeping nothing."""
    if side == 'lab':
        yield from load(side, folder, epochs)
        return
    yield
    for _ in SPLITS:
        with (folder / 'real_size.pkl').open('rb') as file:
            pickle.load(file)


@contextmanager
def as_in_its_study(side, model, loader):
    """The loader that a side reads when it trains many models; the naive one stays as it is.

    The lab's study has the batches on the device and reads padding once, as long as the block is
    open; on a GPU it launches training steps as CUDA graphs.
    """
    if side == 'naive':
        yield loader
        return
    with read_padding_once(model), faster(model, loader) as (resident,):
        yield resident


def train(side, folder, epochs, device='cpu'):
    """One epoch of training, one process, one thread; the second one that it trains."""
    torch.set_num_threads(1)
    set_seed(42)
    path, gpu = folder / 'standin.pkl', device != 'cpu'
    if side == 'naive':
        model, loader, train_on = NaiveModel(), naive_loaders(path)['train'], naive_epoch
    else:
        model, loader = msa_utils.AblationModel(), msa_utils.make_loader(path, 'train')
        train_on = msa_utils.train_epoch
    optimizer = torch.optim.Adam(model.to(device).parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20 * len(loader))
    wait = torch.cuda.synchronize if gpu else lambda: None
    with as_in_its_study(side, model, loader) as batches:
        epoch = partial(train_on, model, batches, nn.MSELoss(), optimizer, scheduler, device)
        epoch()
        wait()
        yield
        epoch()
        wait()
        yield
        if gpu:
            yield {'steps': len(loader), 'kernels': kernel_seconds(epoch)}


def kernel_seconds(run):
    """How long the GPU's kernels take in `run()`, seconds, one after the other."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) / 1e6


def evaluate(side, folder, epochs, device='cpu'):
    """Loss and metrics of the test split, one process, one thread; the second time."""
    torch.set_num_threads(1)
    path = folder / 'standin.pkl'
    if side == 'naive':
        model, loader, evaluate_on = NaiveModel(), naive_loaders(path)['test'], naive_evaluate
    else:
        model, loader = msa_utils.AblationModel(), msa_utils.make_loader(path, 'test')
        evaluate_on = msa_utils.evaluate
    with as_in_its_study(side, model.to(device), loader) as batches:
        evaluate_on(model, batches, nn.MSELoss(), device)
        yield
        evaluate_on(model, batches, nn.MSELoss(), device)


def study(side, folder, epochs, device='cpu'):
    """6 experiments x 2 seeds: one after the other with all threads, against `run_study`.

    `run_study` takes the device that it sees: `sample` hides the GPU where it is not asked for.
    """
    path = folder / 'standin.pkl'
    yield
    if side == 'naive':
        builds = {name: (partial(NaiveModel, **kw), loss) for name, (kw, loss) in STUDY.items()}
        naive_study(builds, SEEDS, naive_loaders(path), epochs, device)
        return
    experiments = [
        Experiment(name, partial(msa_utils.AblationModel, **kw), loss)
        for name, (kw, loss) in STUDY.items()
    ]
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        table = run_study(
            experiments,
            data=path,
            train=partial(msa_utils.fit, quiet=True),
            evaluate=msa_utils.evaluate_valid_split,
            seeds=SEEDS,
            epochs=epochs,
            runs_dir=runs,
        )
    assert (table['error'] == '').all()


MEASURES = {
    'loading': (load, 'all three splits of a 360 MB file, a data set each'),
    'loading, bare': (load_bare, 'the same, against three `pickle.load` that keep nothing'),
    'epoch': (train, 'one epoch of training, one thread'),
    'evaluation': (evaluate, 'evaluation of the test split, one thread'),
    'study': (study, '6 experiments x 2 seeds, all cores'),
    'GPU epoch': (partial(train, device='cuda:0'), 'one epoch of training'),
    'GPU evaluation': (partial(evaluate, device='cuda:0'), 'evaluation of the test split'),
    'GPU study': (partial(study, device='cuda:0'), '6 experiments x 2 seeds'),
}


def child(measure, side, folder, epochs, more):
    """One sample, printed as JSON: seconds and added peak memory (MB) of what is measured.

    A measure is a generator: what it does between its first two `yield` is measured. What it
    yields after them is added if `more` is wanted.
    """
    running = MEASURES[measure][0](side, Path(folder), epochs)
    next(running)
    before, start = _peak_memory(), time.perf_counter()
    next(running, None)
    seconds = time.perf_counter() - start
    result = {'seconds': seconds, 'mb': _peak_memory() - before}
    for further in running if more else ():
        result |= further
    print(json.dumps(result))


def _peak_memory():
    """The largest resident size of this process so far, in MB."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1e6 if sys.platform == 'darwin' else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def sample(measure, side, folder, epochs, more):
    """Run one child; it sees a GPU only if the measure wants one."""
    hidden = {} if measure.startswith('GPU') else {'CUDA_VISIBLE_DEVICES': ''}
    run = subprocess.run(
        [sys.executable, '-m', 'benchmarks.speed', '--child', measure, side, str(folder),
         '--epochs', str(epochs), *(['--more'] if more else [])],  # the profiler is slow to start
        capture_output=True, text=True, env=os.environ | hidden,
    )  # fmt: skip
    if run.returncode:
        raise RuntimeError(f'{measure}, {side}: {run.stderr[-2000:]}')
    return json.loads(run.stdout.splitlines()[-1])


def compare(measure, folder, repeats, epochs):
    """Samples in turns; a row of the table: medians, and the median of the paired ratios."""
    pairs = [
        {side: sample(measure, side, folder, epochs, more=not i) for side in ('naive', 'lab')}
        for i in range(repeats)
    ]
    middle = {
        side: {
            key: statistics.median(pair[side][key] for pair in pairs if key in pair[side])
            for key in pairs[0][side]
        }
        for side in ('naive', 'lab')
    }
    ratios = [pair['naive']['seconds'] / pair['lab']['seconds'] for pair in pairs]
    cells = [
        MEASURES[measure][1],
        *(_speed(**middle[side]) for side in ('naive', 'lab')),
        f'**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})',
    ]
    if 'loading' in measure:  # training adds little memory, and that of workers is not seen
        naive, lab = (middle[side]['mb'] for side in ('naive', 'lab'))
        cells += [f'{naive:.0f} MB', f'{lab:.0f} MB', f'{lab / naive:.2f}']
    elif not measure.startswith('GPU'):
        cells += ['-'] * 3
    return f'| {" | ".join(cells)} |'


def _speed(seconds, mb, steps=None, kernels=None):
    """A cell of the table; on a GPU with the share of the time that its kernels take."""
    gpu = f' ({steps / seconds:.0f} steps/s, {kernels / seconds:.0%} in kernels)' if steps else ''
    return f'{seconds:.3g} s{gpu}'


def forward_difference(folder, device):
    """The largest difference of a study's scores from the naive model's, with the same weights."""
    naive, ours = NaiveModel().to(device), msa_utils.AblationModel().to(device)
    ours.load_state_dict(naive.state_dict())
    with torch.no_grad(), read_padding_once(ours):
        return max(
            (naive(*features) - ours(*features)).abs().max().item()
            for *batch, _ in naive_loaders(folder / 'standin.pkl')['test']
            for features in [[x.to(device) for x in batch]]
        )


def machine(device):
    """The machine in general terms, with the GPU where it is what is measured."""
    gpu = 'no GPU used' if device == 'cpu' else torch.cuda.get_device_name(device)
    return (
        f'{os.cpu_count()} cores ({platform.machine()}), {gpu}; Python '
        f'{platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}'
    )


def main():
    """Measure; put a table that was measured as a whole in the place of the older one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--epochs', type=int, default=4, help='of each training of the study')
    parser.add_argument('--only', nargs='*', choices=MEASURES, default=list(MEASURES))
    parser.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    parser.add_argument('--more', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(*args.child, args.epochs, args.more)
        return
    folder = Path(tempfile.mkdtemp(prefix='speed-'))
    try:
        # In a process of its own: a child's peak memory counts from that of its parent.
        code = f'from benchmarks.speed import *; make_files(Path({str(folder)!r}))'
        subprocess.run([sys.executable, '-c', code], check=True)
        for name, device in (('speed', 'cpu'), ('speed on a GPU', 'cuda:0')):
            here = [m for m in MEASURES if m.startswith('GPU') == (device != 'cpu')]
            measures = [m for m in here if m in args.only]
            if measures and device != 'cpu' and not torch.cuda.is_available():
                print('no GPU here: its table stays as it is')
            elif measures:
                table = measure_table(measures, device, folder, args)
                if measures == here:
                    _write(name, table)
    finally:
        shutil.rmtree(folder)


def measure_table(measures, device, folder, args):
    """The lines of a table, printed as they come."""
    columns = ['what', 'naive', 'the lab', 'naive / lab (range)']
    if device == 'cpu':
        columns += ['memory, naive', 'memory, lab', 'share']
    lines = [
        f'Machine: {machine(device)}. Medians of {args.repeats}; the study trains {args.epochs} '
        'epochs.',
        '',
        f'| {" | ".join(columns)} |',
        f'|{" --- |" * len(columns)}',
    ]
    print(*lines, sep='\n', flush=True)
    for measure in measures:
        lines.append(compare(measure, folder, args.repeats, args.epochs))
        print(lines[-1], flush=True)
    difference = forward_difference(folder, device)
    lines += [
        '',
        'With the same weights the scores of `AblationModel`, as a study computes them, differ '
        f"from the naive model's by at most {difference:.1e}.",
    ]
    print(*lines[-2:], sep='\n', flush=True)
    return lines


def _write(name, lines):
    """Put the table in the place of the older one."""
    begin, end = f'<!-- {name} -->\n', f'<!-- end of {name} -->'
    text = '\n'.join([begin, *lines, '', end])
    page = RESULTS.read_text(encoding='utf-8')
    page = re.sub(f'{begin}.*{end}', lambda _: text, page, flags=re.DOTALL)
    RESULTS.write_text(page, encoding='utf-8')


if __name__ == '__main__':
    main()
