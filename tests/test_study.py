"""The study runner: resumable, independent of order and workers, honest about failures.

It validates; the test split is read later, by another function, when the choice is written down.
Real processes are killed, a real Dask cluster is started; the models are small so that it is quick.
"""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import msa_utils
from msa_lab.data import METRICS, load_split
from msa_lab.study import (
    Experiment,
    evaluate_chosen,
    run_study,
    set_seed,
    summarize,
)
from msa_lab.study.fingerprint import fingerprint
from msa_lab.study.run_folders import ABANDONED_SECONDS
from msa_lab.study.seeds import own_random_numbers

ROOT = Path(__file__).parent.parent


def toy_train(model, data, criterion, *, epochs, checkpoint, log_dir):
    """Two steps of fitting noise: quick, and different for every seed and model."""
    with open('started', 'a') as log:
        log.write(Path(log_dir).name.split('-seed')[0] + '\n')
    optimizer = torch.optim.Adam(model.parameters())
    history = []
    for epoch in range(epochs):
        loss = criterion(model(torch.randn(8, 4)).squeeze(-1), torch.randn(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append({'epoch': epoch + 1, 'Corr': loss.item() + random.random(), 'MAE': 0.5})
    torch.save(model.state_dict(), checkpoint)
    Path(log_dir, 'events').touch()
    return history


def toy_evaluate(model, data, criterion, checkpoint):
    weights = torch.load(checkpoint, weights_only=True)
    y_pred = weights['weight'].flatten().numpy() + np.random.rand()
    predictions = {'video': ['NA', 'a', 'b', 'b'], 'y_true': [1.0, 2, 3, 4], 'y_pred': y_pred}
    return {'Corr': float(y_pred.sum()), 'MAE': data['shift']}, pd.DataFrame(predictions)


def started():
    """The names of the experiments whose training began since this was last called."""
    log = Path('started')
    names = log.read_text().splitlines() if log.exists() else []
    log.write_text('')
    return names


def broken():
    raise RuntimeError('no such\nlayer')


TOYS = [
    Experiment('baseline', lambda: nn.Linear(4, 1)),
    Experiment('huber', lambda: nn.Linear(4, 1), nn.HuberLoss()),
    Experiment('no bias', lambda: nn.Linear(4, 1, bias=False)),
]
TOY = dict(data={'shift': 1.5}, train=toy_train, evaluate=toy_evaluate, epochs=2, n_jobs=1)


def same(a, b):
    """Whether two result tables agree in all but the seconds."""
    pd.testing.assert_frame_equal(a.drop(columns='seconds'), b.drop(columns='seconds'))
    return True


def test_one_row_per_experiment_and_seed(workdir, capsys):
    table = run_study(TOYS, seeds=[42, 43], **TOY)
    assert table['error'].tolist() == [''] * 6
    first, last = ['experiment', 'seed', 'best_epoch'], ['parameters', 'seconds', 'run', 'error']
    predicted = ['video', 'y_true', 'y_pred']
    assert list(table) == [*first, 'valid_Corr', 'valid_MAE', *last, *predicted]
    assert table['video'][0].tolist() == ['NA', 'a', 'b', 'b']
    assert table['y_true'][0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert table['experiment'].tolist() == ['baseline'] * 2 + ['huber'] * 2 + ['no bias'] * 2
    assert table['seed'].tolist() == [42, 43] * 3
    assert table['parameters'].tolist() == [5, 5, 5, 5, 4, 4]
    assert (table['error'] == '').all()
    assert (table['valid_MAE'] == 1.5).all()
    assert table['valid_Corr'].nunique() == 6
    for y_pred, corr in zip(table['y_pred'], table['valid_Corr'], strict=True):
        assert y_pred.sum() == pytest.approx(corr)
    out = capsys.readouterr().out
    assert '6/6' in out
    folders = sorted(p.name.rsplit('-', 1)[0] for p in Path('runs').glob('[!.]*'))
    assert folders == sorted(
        f'{n}-seed{s}' for n in ('baseline', 'huber', 'no-bias') for s in (42, 43)
    )


def test_finished_runs_are_not_repeated_and_more_seeds_add_to_them(workdir):
    first = run_study(TOYS, seeds=[42], **TOY)
    assert started() == ['baseline', 'huber', 'no-bias']
    again = run_study(TOYS, seeds=[42], **TOY)
    assert started() == []
    assert again.equals(first)
    run_study(TOYS, seeds=[42, 43], **TOY)
    assert started() == ['baseline', 'huber', 'no-bias']


def test_results_do_not_depend_on_the_order_or_on_what_ran_before(workdir):
    forward = run_study(TOYS, seeds=[42, 43], runs_dir='a', **TOY)
    torch.rand(3)
    backward = run_study(TOYS[::-1], seeds=[43, 42], runs_dir='b', **TOY)
    key = ['experiment', 'seed']
    assert same(
        forward.sort_values(key, ignore_index=True), backward.sort_values(key, ignore_index=True)
    )


def test_a_run_that_raises_leaves_the_others_alone_and_is_tried_again(workdir):
    data = {'shift': 1.5}

    def evaluate(model, data, criterion, checkpoint):
        if model.bias is None:
            raise RuntimeError('no such\nlayer')
        return toy_evaluate(model, data, criterion, checkpoint)

    toy = TOY | dict(evaluate=evaluate, data=data)
    experiments = [TOYS[0], TOYS[2], Experiment('bad', broken)]
    table = run_study(experiments, seeds=[42], **toy)
    assert table['error'].tolist() == ['', *['RuntimeError: no such layer'] * 2]
    assert table['valid_Corr'].isna().tolist() == [False, True, True]
    assert not list(Path('runs/.unfinished').iterdir())
    assert started() == ['baseline', 'no-bias']
    run_study(experiments, seeds=[42], **toy)
    assert started() == ['no-bias']


DAMAGE = {
    'a cut result': ('result.json', lambda raw: raw[:20]),
    'a changed digit': ('result.json', lambda raw: raw.replace(b'"seed": 42', b'"seed": 43')),
    'another JSON': ('result.json', lambda raw: b'[1]'),
    'not even text': ('result.json', lambda raw: b'\xff\xfe\x00'),
    'a cut checkpoint': ('best_model.pth', lambda raw: raw[:-1]),
    'a flipped bit in the weights': ('best_model.pth', lambda raw: raw[:-30] + b'?' + raw[-29:]),
    'no checkpoint': ('best_model.pth', None),
    'a changed prediction': ('predictions.csv', lambda raw: raw.replace(b'NA,1.0', b'NA,1.5')),
    'no predictions': ('predictions.csv', None),
}


@pytest.mark.parametrize('case', DAMAGE)
def test_a_damaged_result_is_reported_and_done_again(workdir, capsys, case):
    name, change = DAMAGE[case]
    first = run_study(TOYS[:1], seeds=[42], **TOY)
    (file,) = Path('runs').glob(f'*/{name}')
    whole = file.read_bytes()
    file.unlink()
    if change:
        assert change(whole) != whole
        file.write_bytes(change(whole))
    capsys.readouterr()
    assert same(run_study(TOYS[:1], seeds=[42], **TOY), first)
    output = capsys.readouterr().out
    assert output.count('the result is damaged; this run is done again') == 1
    assert file.exists()
    run_study(TOYS[:1], seeds=[42], **TOY)
    assert 'damaged' not in capsys.readouterr().out


def test_a_build_with_other_arguments_is_another_run(workdir):
    tables = [
        run_study([Experiment('a', partial(nn.Linear, 4, 1, bias=bias))], seeds=[1], **TOY)
        for bias in (True, False)
    ]
    assert [table['parameters'].tolist() for table in tables] == [[5], [4]]
    assert tables[0]['run'][0] != tables[1]['run'][0]


class WithCriterion(nn.Linear):
    """A model that is trained with a loss of its own."""

    def criterion(self):
        return nn.HuberLoss()


def test_the_loss_is_that_of_the_experiment_or_the_model_or_mse(workdir):
    build = partial(WithCriterion, 4, 1)
    experiments = [
        Experiment('MSE by default', lambda: nn.Linear(4, 1)),
        Experiment('MSE by request', build, nn.MSELoss()),
        Experiment('Huber by request', lambda: nn.Linear(4, 1), nn.HuberLoss()),
        Experiment('Huber by the model', build),
    ]
    scores = run_study(experiments, seeds=[42], **TOY)['valid_Corr']
    assert scores[0] == scores[1] != scores[2] == scores[3]


def train_while_another_study_does(model, data, criterion, **paths):
    """Train; the first time, another study does the same run in the meantime."""
    history = toy_train(model, data, criterion, **paths)
    if Path('alone').exists():
        Path('alone').unlink()
        run_study(TOYS[:1], seeds=[42], **TOY | {'train': train_while_another_study_does})
    return history


def test_of_two_studies_that_do_the_same_run_the_first_to_finish_is_kept(workdir):
    Path('alone').touch()
    toy = TOY | {'train': train_while_another_study_does}
    table = run_study(TOYS[:1], seeds=[42], **toy)
    assert started() == ['baseline', 'baseline']
    assert (table['error'] == '').all()
    assert run_study(TOYS[:1], seeds=[42], **toy).equals(table)  # the seconds too
    assert started() == []
    assert len(list(Path('runs').glob('*/result.json'))) == 1
    assert not list(Path('runs/.unfinished').iterdir())


def test_what_killed_runs_left_is_removed_after_a_day(workdir):
    run_study(TOYS[:1], seeds=[42], **TOY)
    now = time.time()
    for name, age in (('young', ABANDONED_SECONDS - 60), ('old', ABANDONED_SECONDS + 60)):
        folder = Path('runs/.unfinished', name)
        folder.mkdir()
        (folder / 'best_model.pth').touch()
        os.utime(folder, (now - age, now - age))
    run_study(TOYS[:1], seeds=[42], **TOY)
    assert os.listdir('runs/.unfinished') == ['young']


def test_a_full_disk_costs_one_run_and_is_reported(workdir, monkeypatch):
    """Writing fails as it does on a full disk; the run is done when there is room again."""

    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_text', full)
        table = run_study(TOYS, seeds=[42], **TOY)
    assert table['error'].str.contains('No space left on device').all()
    assert not list(Path('runs').glob('*/*'))
    assert (run_study(TOYS, seeds=[42], **TOY)['error'] == '').all()


def test_names_must_differ(workdir):
    with pytest.raises(ValueError, match='different names'):
        run_study([TOYS[0], TOYS[0]], seeds=[42], **TOY)


SCRIPT = """
import sys, time, os
from pathlib import Path
import pandas as pd
import torch
from torch import nn
from msa_lab.study import Experiment, run_study

def train(model, data, criterion, *, epochs, checkpoint, log_dir):
    with open('log', 'a') as log:
        log.write(os.path.basename(log_dir).split('-seed')[0] + '\\n')
    time.sleep(0.15)
    value = model(torch.randn(4, 4)).sum().item()
    torch.save(model.state_dict(), checkpoint)
    return [{'epoch': 1, 'Corr': value}]

def evaluate(model, data, criterion, checkpoint):
    predictions = pd.DataFrame({'video': ['a'], 'y_true': [1.0], 'y_pred': [torch.randn(1).item()]})
    return {'Corr': torch.randn(1).item()}, predictions

experiments = [Experiment(f'e{i}', lambda: nn.Linear(4, 1)) for i in range(24)]
table = run_study(experiments, data=None, train=train, evaluate=evaluate, seeds=[42], epochs=1,
                  runs_dir=sys.argv[1], n_jobs=int(sys.argv[2]))
table.drop(columns='seconds').to_csv(sys.argv[3], index=False)
"""


@pytest.mark.parametrize('n_jobs', [1, 2])
def test_a_killed_study_continues_where_it_was(workdir, n_jobs):
    """Three real kills at random moments; finished runs stay, the table is that without a kill."""
    Path('script.py').write_text(SCRIPT)
    env = os.environ | {'PYTHONPATH': str(ROOT)}

    def start(runs_dir, csv):
        command = [sys.executable, 'script.py', runs_dir, str(n_jobs), csv]
        return subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL)

    assert start('whole', 'whole.csv').wait(120) == 0
    rng = random.Random(n_jobs)
    for _ in range(3):
        process = start('killed', 'killed.csv')
        before = len(list(Path('killed').glob('*/result.json')))
        while len(list(Path('killed').glob('*/result.json'))) < before + 2:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = {p.parent.name: p.read_bytes() for p in Path('killed').glob('*/result.json')}
    assert 6 <= len(finished) < 24  # the kills were in the middle
    Path('log').write_text('')
    assert start('killed', 'killed.csv').wait(120) == 0
    assert Path('killed.csv').read_text() == Path('whole.csv').read_text()
    repeated = len(Path('log').read_text().splitlines())
    assert repeated == 24 - len(finished)
    for name, content in finished.items():
        assert (Path('killed') / name / 'result.json').read_bytes() == content


def test_a_worker_that_grows_is_replaced_in_silence(workdir):
    """joblib ends a worker that has grown by 300 MB, as one does that first meets a GPU."""
    hungry = "sys.kept = [*getattr(sys, 'kept', []), b'x' * 310_000_000]; time.sleep(1.1)"
    script = SCRIPT.replace('time.sleep(0.15)', hungry).replace('range(24)', 'range(6)')
    assert hungry in script
    command = [sys.executable, '-c', script, 'runs', '2', 'table.csv']
    env = os.environ | {'PYTHONPATH': str(ROOT)}
    process = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert process.stderr == ''
    assert pd.read_csv('table.csv')['error'].isna().all()


@pytest.mark.parametrize(
    ('gpu', 'cores', 'n_jobs', 'processes'),
    [(False, 64, -1, -1), (True, 64, -1, 4), (True, 2, -1, 2), (True, 64, 9, 9)],
)
def test_few_processes_share_a_gpu(workdir, monkeypatch, gpu, cores, n_jobs, processes):
    seen, parallel = [], joblib.Parallel
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(joblib, 'cpu_count', lambda: cores)
    monkeypatch.setattr(
        joblib, 'Parallel', lambda n_jobs, **kw: seen.append(n_jobs) or parallel(n_jobs=1, **kw)
    )
    run_study(TOYS[:1], seeds=[1], **TOY | {'n_jobs': n_jobs})
    assert seen == [processes]


def lab_study(small_file, runs_dir, n_jobs):
    """Three of the lab's own experiments with the lab's own training."""
    experiments = [
        Experiment('baseline', msa_utils.AblationModel),
        Experiment('no norm', lambda: msa_utils.AblationModel(layer_norm=False)),
        Experiment('MAE', partial(msa_utils.AblationModel, modalities=('text',)), nn.L1Loss()),
    ]
    return run_study(
        experiments,
        data=Path(small_file),
        train=partial(msa_utils.fit, quiet=True),
        evaluate=msa_utils.evaluate_valid_split,
        seeds=[42, 43],
        epochs=2,
        runs_dir=runs_dir,
        n_jobs=n_jobs,
    )


@pytest.fixture(scope='module')
def alone(small_file, tmp_path_factory):
    """The table of one process, which has two threads and still has them afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        table = lab_study(small_file, tmp_path_factory.mktemp('alone'), n_jobs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    return table


def test_two_workers_give_the_table_of_one(small_file, workdir, alone):
    assert (alone['error'] == '').all()
    assert alone['valid_MAE'].nunique() == 6
    assert same(lab_study(small_file, 'runs', n_jobs=2), alone)
    assert len(list(Path('runs').glob('*/train/events*'))) == 6  # a TensorBoard run each


@pytest.mark.filterwarnings('ignore')
def test_a_dask_cluster_gives_the_same_table(small_file, workdir, alone):
    distributed = pytest.importorskip('distributed', reason='needs dask[distributed]')
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend='dask'),
    ):
        assert same(lab_study(small_file, 'runs', n_jobs=-1), alone)


def test_the_default_of_the_ablations_trains_like_the_baseline(small_file, workdir, alone):
    """The study's baseline row is the plain class, trained alone with the same seed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    set_seed(42)
    model = msa_utils.MultimodalSentimentAnalysisModel()
    set_seed(42)  # so that the order of the batches does not depend on the model
    history = msa_utils.fit(
        model, small_file, nn.MSELoss(), epochs=2, checkpoint='b.pth', quiet=True
    )
    torch.set_num_threads(threads)
    best = history[msa_utils.best_index(history)]
    assert alone['best_epoch'][0] == best['epoch']
    for name in METRICS:
        assert alone[f'valid_{name}'][0] == pytest.approx(best[name], abs=2e-4)


def test_set_seed_fixes_the_workspace_of_cublas_unless_it_is_set(monkeypatch):
    monkeypatch.delenv('CUBLAS_WORKSPACE_CONFIG', raising=False)
    set_seed(0)
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':4096:8'
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':16:8')
    set_seed(0)
    assert os.environ['CUBLAS_WORKSPACE_CONFIG'] == ':16:8'


class Noisy(nn.Linear):
    """A model that draws a random number in every pass, as dropout does."""

    def forward(self, x):
        return super().forward(x) + 0 * torch.rand(1)


class NoisyLoss(nn.MSELoss):
    """A loss that draws, and that calls the model again, as those of some systems do."""

    def __init__(self, model):
        super().__init__()
        self.models = (model,)

    def forward(self, output, label):
        return super().forward(output, label) + 0 * self.models[0](torch.zeros(1, 4)).sum()


def test_with_one_seed_all_experiments_see_the_batches_in_the_same_order(workdir):
    """Whatever the model draws when it is built, and while it is trained."""
    orders = {}

    def train(model, data, criterion, *, epochs, checkpoint, log_dir):
        order = orders[Path(log_dir).name.split('-seed')[0]] = []
        for _ in range(3):
            order.append(torch.randperm(20).tolist())
            criterion(model(torch.zeros(2, 4)).squeeze(-1), torch.zeros(2))
        torch.save(model.state_dict(), checkpoint)
        return [{'epoch': 1, 'Corr': 0.5}]

    noisy = Noisy(4, 1)
    experiments = [
        Experiment('plain', lambda: nn.Linear(4, 1)),
        Experiment('larger', lambda: nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 1))),
        Experiment('noisy', lambda: Noisy(4, 1)),
        Experiment('noisy loss', lambda: noisy, NoisyLoss(noisy)),
    ]

    def evaluate(model, data, criterion, checkpoint):
        return {'Corr': 0.5}, pd.DataFrame({'video': ['a'], 'y_true': [0.0], 'y_pred': [0.0]})

    table = run_study(experiments, seeds=[1], **TOY | {'train': train, 'evaluate': evaluate})
    assert (table['error'] == '').all(), table['error'].tolist()
    assert len(orders) == 4
    assert all(order == orders['plain'] for order in orders.values())
    assert orders['plain'][0] != orders['plain'][1]


def test_what_a_model_draws_has_a_stream_of_its_own_also_after_an_error():
    class Failing(nn.Module):
        def forward(self):
            torch.rand(5)
            raise RuntimeError('no')

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    model = Failing()
    with own_random_numbers(model), pytest.raises(RuntimeError):
        model()
    assert torch.equal(torch.rand(2), expected)
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


def test_the_test_split_is_read_for_trained_experiments_when_the_choice_is_on_the_disk(workdir):
    results = run_study(TOYS, seeds=[42, 43], **TOY)
    read = []

    def evaluate(model, data, criterion, checkpoint):
        read.append(type(criterion).__name__)
        return toy_evaluate(model, data, criterion, checkpoint)

    arguments = dict(data=TOY['data'], evaluate=evaluate, choice='choice.txt', n_jobs=1)
    with pytest.raises(FileNotFoundError, match=r'choice\.txt: write the choice down'):
        evaluate_chosen(TOYS[:2], results, **arguments)
    assert read == []
    Path('choice.txt').touch()
    started()
    tested = evaluate_chosen(TOYS[:2], results, **arguments)
    assert started() == []  # nothing is trained
    assert read == ['MSELoss', 'MSELoss', 'HuberLoss', 'HuberLoss']
    assert tested['experiment'].tolist() == ['baseline'] * 2 + ['huber'] * 2
    assert 'valid_Corr' not in tested
    assert tested['test_Corr'].nunique() == 4
    assert tested['run'].tolist() == results['run'][:4].tolist()
    assert summarize(tested, 'baseline').loc['huber', ('test_Corr', 'mean')] == pytest.approx(
        tested['test_Corr'][2:].mean()
    )


def test_a_failed_run_is_not_tested_and_keeps_its_error(workdir):
    experiments = [TOYS[0], Experiment('bad', broken)]
    results = run_study(experiments, seeds=[42], **TOY)
    Path('choice.txt').touch()
    tested = evaluate_chosen(
        experiments, results, data=TOY['data'], evaluate=toy_evaluate, choice='choice.txt'
    )
    assert tested['error'].tolist() == ['', 'RuntimeError: no such layer']
    assert tested['test_Corr'].isna().tolist() == [False, True]


def test_options_go_to_every_build_and_make_another_run(workdir):
    experiments = [Experiment('a', partial(nn.Linear, 4)), Experiment('b', partial(nn.Linear, 4))]
    narrow, wide = (
        run_study(experiments, seeds=[1], **TOY, build_options={'out_features': 1, 'bias': bias})
        for bias in (False, True)
    )
    assert narrow['parameters'].tolist() == [4, 4]
    assert wide['parameters'].tolist() == [5, 5]
    assert not set(narrow['run']) & set(wide['run'])


def test_the_lab_s_own_study_reads_no_test_split(small_file, workdir, monkeypatch):
    opened = []
    original = msa_utils.MOSIDataset.__init__

    def counting(self, data_path, split='train'):
        opened.append(split)
        original(self, data_path, split)

    monkeypatch.setattr(msa_utils.MOSIDataset, '__init__', counting)
    experiments = [Experiment('baseline', msa_utils.AblationModel)]
    setting = dict(data=Path(small_file), n_jobs=1)
    results = run_study(
        experiments, **setting, train=partial(msa_utils.fit, quiet=True),
        evaluate=msa_utils.evaluate_valid_split, seeds=[42], epochs=1,
    )  # fmt: skip
    assert (results['error'] == '').all()
    assert set(opened) == {'train', 'valid'}
    Path('choice.txt').touch()
    tested = evaluate_chosen(
        experiments, results, **setting, choice='choice.txt',
        evaluate=partial(msa_utils.evaluate_test_split, quiet=True),
    )  # fmt: skip
    assert opened[-1] == 'test'
    data = load_split(small_file, 'test')
    assert tested['video'][0].tolist() == list(data.videos)
    assert tested['y_true'][0] == pytest.approx(data.labels)


def helper():
    return 1


def uses_helper():
    return helper() + 1


def test_the_key_follows_code_data_and_settings(tmp_path, monkeypatch):
    file = tmp_path / 'data'
    file.write_bytes(b'a')
    key = fingerprint('name', uses_helper, nn.HuberLoss(delta=1.0), file, 20)
    assert key == fingerprint('name', uses_helper, nn.HuberLoss(delta=1.0), file, 20)
    assert key != fingerprint('other', uses_helper, nn.HuberLoss(delta=1.0), file, 20)
    assert key != fingerprint('name', uses_helper, nn.HuberLoss(delta=2.0), file, 20)
    assert key != fingerprint('name', uses_helper, nn.HuberLoss(delta=1.0), file, 21)
    monkeypatch.setitem(globals(), 'helper', lambda: 2)
    assert key != fingerprint('name', uses_helper, nn.HuberLoss(delta=1.0), file, 20)
    monkeypatch.undo()
    file.write_bytes(b'b')
    assert key != fingerprint('name', uses_helper, nn.HuberLoss(delta=1.0), file, 20)


class Part(nn.Module):
    def forward(self, x):
        return x + 1


class Configurable(nn.Module):
    """A model with an optional part, as the ablations have them."""

    def __init__(self, with_part):
        super().__init__()
        self.part = Part() if with_part else nn.Identity()


def test_a_part_that_is_not_built_leaves_the_key_alone(workdir, monkeypatch):
    """It may be written later, in another cell; where it is built a change makes a new run."""

    def folders():
        experiments = [Experiment(str(on), partial(Configurable, on)) for on in (False, True)]
        return run_study(experiments, seeds=[1], **TOY)['run'].tolist()

    def no_forward(self, x):
        return x

    first = folders()
    monkeypatch.setitem(globals(), 'Part', type('Part', (Part,), {'forward': no_forward}))
    second = folders()
    assert first[0] == second[0]
    assert first[1] != second[1]
    monkeypatch.delitem(globals(), 'Part')
    assert folders()[0] == first[0]


def test_building_for_the_key_does_not_disturb_the_random_numbers(workdir):
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    run_study(TOYS[:1], seeds=[1], **TOY | {'n_jobs': 2})
    assert torch.equal(torch.rand(1), expected)


def test_the_key_tells_lambdas_on_one_line_apart():
    first, second = (lambda: nn.Linear(4, 1)), (lambda: nn.Linear(4, 2))
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(partial(helper, 1)) != fingerprint(partial(helper, 2))


def test_the_key_is_the_same_in_another_process():
    code = (
        'from functools import partial; from torch import nn; import msa_utils as lab;'
        'from msa_lab.study.fingerprint import fingerprint;'
        'print(fingerprint(partial(lab.fit, quiet=True), lab.AblationModel, nn.HuberLoss()))'
    )
    keys = set()
    for seed in ('1', '2'):
        env = os.environ | {'PYTHONPATH': str(ROOT), 'PYTHONHASHSEED': seed}
        keys.add(subprocess.check_output([sys.executable, '-c', code], env=env))
    assert len(keys) == 1
