"""`kill -9` at random moments: what is on the disk afterwards is whole, old or new.

`python -m tests.kills VICTIM KILLS SEED` kills one of the victims below that often, in the current
directory, and looks at what is left each time. It imports once and forks for every kill.
"""

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from msa_lab.data import METRICS, SPLITS, load_split
from msa_lab.data.synthetic import write_standin
from msa_lab.files.checkpoints import save_checkpoint
from msa_lab.files.tensorboard_logs import read_scalars
from msa_lab.study import Experiment, run_study
from msa_lab.study.run_folders import ABANDONED_SECONDS
from msa_utils import RunWriter
from tests.packings import TINY


def forked(work):
    """The process id of a child that does `work` and leaves without tidying up."""
    if pid := os.fork():
        return pid
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)


def killed(work, seconds):
    """Let a child work for so long, then kill it; whether it was still at work."""
    pid = forked(work)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


class Checkpoints:
    """Weights that are all 1, all 2, ... are saved one after the other."""

    seconds = 0.05

    def __init__(self):
        self.model = nn.Linear(300, 300)
        self.save(0.0)

    def save(self, value):
        nn.init.constant_(self.model.weight, value)
        nn.init.constant_(self.model.bias, value)
        save_checkpoint(self.model, 'best_model.pth')

    def work(self):
        for value in range(1, 1000):
            self.save(float(value))

    def look(self):
        weights = torch.load('best_model.pth', weights_only=True)
        values = {x for tensor in weights.values() for x in tensor.unique().tolist()}
        assert len(values) == 1


class StandIn:
    """Two stand-ins are written in turn to the same path."""

    seconds = 0.2

    def __init__(self):
        write_standin('data.pkl', seed=0, **TINY)

    def work(self):
        for seed in range(1, 1000):
            write_standin('data.pkl', seed=seed, **TINY)

    def look(self):
        for split, count in zip(SPLITS, TINY['utterances'], strict=True):
            assert len(load_split('data.pkl', split)) == count


class Logs:
    """Epochs are logged for TensorBoard; each that was reported as done can be read back."""

    seconds = 0.3

    def work(self):
        with RunWriter('log') as writer:
            for epoch in range(1, 1000):
                record = dict.fromkeys((*METRICS, 'train_loss', 'valid_loss', 'lr'), 0.5)
                writer.log_epoch(record | {'epoch': epoch})
                Path('done').write_text(str(epoch))

    def look(self):
        text = Path('done').read_text() if Path('done').exists() else ''
        if text:  # '' is a kill between opening and writing the note of this test
            steps, _ = read_scalars('log')['valid', 'metrics/Corr']
            assert max(steps) >= int(text)
        for file in Path('log').rglob('events*'):
            file.unlink()
        Path('done').unlink(missing_ok=True)


def train(model, data, criterion, *, epochs, checkpoint, log_dir):
    time.sleep(0.05)
    torch.save(model.state_dict(), checkpoint)
    return [{'epoch': 1, 'Corr': random.random() + np.random.rand()}]


def evaluate(model, data, criterion, checkpoint):
    score = float(torch.load(checkpoint, weights_only=True)['weight'].sum())
    return {'Corr': score}, pd.DataFrame({'video': ['a'], 'y_true': [1.0], 'y_pred': [score]})


def study(runs_dir, csv):
    """24 short runs; the table, without the seconds, goes to the file `csv`."""
    experiments = [Experiment(f'e{i}', lambda: nn.Linear(4, 1)) for i in range(6)]
    setting = dict(data=None, train=train, evaluate=evaluate, seeds=[1, 2, 3, 4], epochs=1)
    table = run_study(experiments, **setting, runs_dir=runs_dir, n_jobs=1)
    table.drop(columns='seconds').to_csv(csv, index=False)


def finished_runs():
    """The result files of the finished runs, with the time of writing; each can be read."""
    files = list(Path('runs').glob('*/result.json'))
    for file in files:
        assert json.loads(file.read_text())['row']['error'] == ''
        assert torch.load(file.with_name('best_model.pth'), weights_only=True)
    return {file: file.stat().st_mtime_ns for file in files}


class Study:
    """A study is killed again and again; it goes on and ends with the table of a quiet one."""

    seconds = 0.25

    def __init__(self):
        study('quiet', 'quiet.csv')
        self.finished = {}

    def work(self):
        study('runs', 'runs.csv')

    def look(self):
        before, self.finished = self.finished, finished_runs()
        assert before.items() <= self.finished.items()  # a finished run is never done again

    def end(self):
        left = list(Path('runs/.unfinished').iterdir())
        assert left
        for folder in left:
            written = folder.stat().st_mtime - ABANDONED_SECONDS
            os.utime(folder, (written, written))
        self.work()
        self.look()
        assert Path('runs.csv').read_bytes() == Path('quiet.csv').read_bytes()
        assert not list(Path('runs/.unfinished').iterdir())


class TwoStudies:
    """Two studies share a folder and a third was killed: both tables are right, no run is lost."""

    seconds = 0.4

    def __init__(self):
        study('quiet', 'quiet.csv')

    def work(self):
        study('runs', 'killed.csv')

    def look(self):
        before = finished_runs()
        pids = [forked(lambda k=k: study('runs', f'{k}.csv')) for k in (1, 2)]
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
        for k in (1, 2):
            assert Path(f'{k}.csv').read_bytes() == Path('quiet.csv').read_bytes()
        after = finished_runs()
        assert len(after) == 24
        assert before.items() <= after.items()
        shutil.rmtree('runs')


def main(victim, kills, seed):
    torch.set_num_threads(1)
    tqdm.set_lock(threading.RLock())  # its own is shared with forked children, and dies with one
    tqdm.monitor_interval = 0  # no thread beside the one that forks
    rng, victim = random.Random(seed), globals()[victim]()
    hit = 0
    for _ in range(kills):
        hit += killed(victim.work, rng.uniform(0, victim.seconds))
        victim.look()
    getattr(victim, 'end', lambda: None)()
    print(json.dumps({'kills': hit}))


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
