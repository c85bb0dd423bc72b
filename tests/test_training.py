"""Training, validation and test: what is printed, what is saved when, what is never read."""

import ast
import inspect
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import msa_utils
from msa_lab.data import METRICS, load_split
from msa_lab.files.checkpoints import save_checkpoint
from msa_lab.files.tensorboard_logs import read_graph, read_scalars
from msa_lab.speed import DeviceLoader
from msa_utils import (
    MOSIDataset,
    MultimodalSentimentAnalysisModel,
    RunWriter,
    best_index,
    evaluate,
    main,
    make_loader,
    train_model,
    validate_model,
)

ROOT = Path(__file__).parent.parent


class Dial(nn.Module):
    """A double of a model: one weight, so that a test can choose what it predicts."""

    def __init__(self, weight=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(weight)))
        self.calls = []

    def forward(self, vision, text, audio):
        self.calls.append(self.training)
        return self.weight * text.mean((1, 2)).unsqueeze(1)


def fit(model, path, epochs=2, lr=1e-3, device='cpu', **kwargs):
    """`train_model` on a small file; returns the history."""
    train_loader = make_loader(path, 'train')
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(train_loader))
    return train_model(
        model, train_loader, make_loader(path, 'valid'), nn.MSELoss(), optimizer, scheduler,
        device, epochs, **kwargs,
    )  # fmt: skip


@pytest.fixture
def scripted(monkeypatch):
    """Make `evaluate` return the validation Corr that a test dictates, epoch by epoch."""

    def script(corrs):
        values = iter(corrs)

        def scripted_evaluate(model, loader, criterion, device):
            metrics = dict.fromkeys(METRICS, 0.0) | {'Corr': next(values)}
            return 1.0, metrics, torch.zeros(1), torch.zeros(1)

        monkeypatch.setattr(msa_utils, 'evaluate', scripted_evaluate)

    return script


def test_evaluate_against_a_direct_computation(small_file, device):
    torch.manual_seed(0)
    model = MultimodalSentimentAnalysisModel().to(device).train()
    loader = make_loader(small_file, 'valid')
    loss, metrics, y_pred, y_true = evaluate(model, loader, nn.MSELoss(), device)
    assert not model.training
    batches = [[x.to(device) for x in batch] for batch in loader]
    with torch.no_grad():
        outputs = [model(*batch[:3])[:, 0] for batch in batches]
    losses = [((o - b[3]) ** 2).mean().item() for o, b in zip(outputs, batches, strict=True)]
    assert loss == pytest.approx(sum(losses) / len(losses), abs=1e-6)  # unweighted over batches
    torch.testing.assert_close(y_pred, torch.cat(outputs).cpu())
    assert torch.equal(y_true, torch.cat([batch[3] for batch in loader]))
    assert metrics == msa_utils.eval_mosi_regression(y_pred, y_true)
    assert not y_pred.requires_grad


def test_validate_model_prints_loss_and_metrics_and_returns_corr(small_file, capsys):
    loader = make_loader(small_file, 'valid')
    model = MultimodalSentimentAnalysisModel()
    corr = validate_model(model, loader, nn.MSELoss(), 'cpu')
    loss, metrics, _, _ = evaluate(model, loader, nn.MSELoss(), 'cpu')
    assert capsys.readouterr().out == f'Validation Loss: {loss:.4f}\n{metrics}\n'
    assert corr == metrics['Corr']


def test_train_model_prints_the_contract_lines(small_file, workdir, capsys):
    history = fit(Dial(), small_file)
    lines = capsys.readouterr().out.splitlines()
    for epoch in range(2):
        first, second, third = lines[3 * epoch : 3 * epoch + 3]
        assert first == f'Epoch [{epoch + 1}/2], Loss: {history[epoch]["train_loss"]:.4f}'
        assert second == f'Validation Loss: {history[epoch]["valid_loss"]:.4f}'
        assert list(ast.literal_eval(third.replace('nan', 'None'))) == list(METRICS)
    assert re.fullmatch(r'Best model saved with val_corr -?[\d.]+ at epoch [01]\.', lines[6])
    assert len(lines) == 7


def test_the_arguments_stand_in_the_contract_order():
    names = list(inspect.signature(train_model).parameters)
    assert names[:8] == [
        'model', 'train_loader', 'valid_loader', 'criterion', 'optimizer', 'scheduler', 'device',
        'epochs',
    ]  # fmt: skip
    kinds = inspect.signature(train_model).parameters.values()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in list(kinds)[8:])
    names = list(inspect.signature(validate_model).parameters)
    assert names == ['model', 'valid_loader', 'criterion', 'device']
    parameters = inspect.signature(main).parameters
    assert list(parameters)[:2] == ['data_path', 'epochs']
    assert parameters['data_path'].default == './mosi_raw.pkl'
    assert parameters['epochs'].default == 20


@pytest.mark.parametrize(
    ('corrs', 'best'),
    [
        ([0.1, 0.3, 0.2], 1),
        ([-0.5, -0.6, -0.7], 0),  # the first epoch saves even when its Corr is negative
        ([math.nan, math.nan, math.nan], 0),
        ([math.nan, -0.9, math.nan], 1),  # nan ranks below every number
        ([0.2, 0.2, 0.2], 0),  # a tie does not save again
    ],
)
def test_the_epoch_with_the_best_validation_corr_is_saved(
    small_file, workdir, capsys, monkeypatch, scripted, corrs, best
):
    torch.save({'weight': torch.tensor(99.0)}, 'best_model.pth')  # of an older run
    scripted(corrs)
    weights, original = [], msa_utils.train_epoch

    def recorded(model, *args):
        result = original(model, *args)
        weights.append(model.weight.item())
        return result

    monkeypatch.setattr(msa_utils, 'train_epoch', recorded)
    history = fit(Dial(), small_file, epochs=3, lr=0.1)
    saved = torch.load('best_model.pth', weights_only=True)['weight'].item()
    assert saved == weights[best]
    assert len(set(weights)) == 3
    assert best_index(history) == best
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f'Best model saved with val_corr {corrs[best]} at epoch {best}.'


def test_an_epoch_of_constant_predictions_gives_way_to_a_later_one(small_file, workdir):
    """Its Corr is nan, from the real metrics; the first epoch with a number is saved."""

    class LateStarter(Dial):
        def forward(self, *features):
            output = super().forward(*features)
            return output if len(self.calls) > 10 else 0 * output  # 7 and 3 batches an epoch

    model = LateStarter(1.0)
    history = fit(model, small_file, epochs=2, quiet=True)
    assert math.isnan(history[0]['Corr'])
    assert math.isfinite(history[1]['Corr'])
    saved = torch.load('best_model.pth', weights_only=True)['weight']
    assert saved.item() == model.weight.item() != 1.0


def test_the_scheduler_steps_once_per_batch(small_file, workdir):
    history = fit(Dial(), small_file, epochs=4, lr=0.5, quiet=True)
    assert [record['lr'] for record in history] == pytest.approx(
        [0.25 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    )


def test_modes_alternate(small_file, workdir):
    model = Dial()
    fit(model, small_file, epochs=2, quiet=True)
    assert model.calls == ([True] * 7 + [False] * 3) * 2


def test_history_has_one_record_per_epoch(small_file, workdir):
    history = fit(Dial(), small_file, epochs=3, quiet=True)
    assert [record['epoch'] for record in history] == [1, 2, 3]
    assert list(history[0]) == ['epoch', 'lr', 'train_loss', 'valid_loss', *METRICS]


def test_quiet_prints_nothing_and_progress_shows_one_bar(small_file, workdir, capfd):
    fit(Dial(), small_file, quiet=True)
    assert capfd.readouterr() == ('', '')
    fit(Dial(), small_file, progress=True)
    out, err = capfd.readouterr()
    assert err == ''
    bar, last = out.rstrip('\n').rsplit('\n', 1)
    assert '\n' not in bar  # drawn over itself with carriage returns
    assert '2/2' in bar.split('\r')[-1]
    assert 'loss=' in bar
    assert 'val_corr=' in bar
    assert last.startswith('Best model saved')


def test_a_loss_that_is_not_finite_stops_with_epoch_and_batch(small_file, workdir):
    class Breaks(Dial):
        def forward(self, *features):
            output = super().forward(*features)
            return output * math.nan if len(self.calls) == 10 + 3 else output

    with pytest.raises(FloatingPointError, match=r'nan at epoch 2, batch 3: .*so far are kept'):
        fit(Breaks(), small_file, quiet=True)
    saved = torch.load('best_model.pth', weights_only=True)['weight']
    assert saved.isfinite()  # the first epoch's weights are still there


def test_an_infinite_loss_in_the_first_epoch_says_that_nothing_was_saved(small_file, workdir):
    class Explodes(Dial):
        def forward(self, *features):
            return super().forward(*features) + math.inf

    with pytest.raises(FloatingPointError, match=r'inf at epoch 1, batch 1: .* no weights were'):
        fit(Explodes(), small_file, quiet=True)


def test_weights_are_loaded_without_running_code(small_file, workdir):
    class Payload:
        def __reduce__(self):
            return Path.touch, (Path('executed'),)

    torch.save({'weight': torch.tensor(1.0), 'x': Payload()}, 'evil.pth')
    with pytest.raises(ValueError, match='no checkpoint'):
        msa_utils.evaluate_test_split(Dial(), small_file, nn.MSELoss(), 'evil.pth')
    assert not Path('executed').exists()


def test_the_test_split_is_scored_with_the_weights_on_the_disk(small_file, workdir, capsys):
    save_checkpoint(Dial(2.0), 'a.pth')
    model = Dial()
    metrics, predictions = msa_utils.evaluate_test_split(model, small_file, nn.MSELoss(), 'a.pth')
    assert model.weight.item() == 2.0
    device = model.weight.device
    loader = make_loader(small_file, 'test')
    loss, expected, y_pred, y_true = evaluate(model, loader, nn.MSELoss(), device)
    assert metrics == expected
    assert list(predictions) == ['video', 'y_true', 'y_pred']
    assert predictions['video'].tolist() == list(load_split(small_file, 'test').videos)
    assert predictions['y_true'].tolist() == y_true.tolist()
    assert predictions['y_pred'].tolist() == y_pred.tolist()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        '========== test results: ==========',
        f'Test Loss: {loss:.4f}',
        str(metrics),
    ]
    again, _ = msa_utils.evaluate_test_split(
        Dial(), small_file, nn.MSELoss(), 'a.pth', batch_size=5, quiet=True
    )
    assert again == metrics
    assert capsys.readouterr().out == ''


def test_the_validation_split_is_scored_in_the_same_way_and_in_silence(small_file, workdir, capsys):
    save_checkpoint(Dial(2.0), 'a.pth')
    model = Dial()
    metrics, predictions = msa_utils.evaluate_valid_split(model, small_file, nn.MSELoss(), 'a.pth')
    loader = make_loader(small_file, 'valid')
    _, expected, y_pred, _ = evaluate(model, loader, nn.MSELoss(), model.weight.device)
    assert metrics == expected
    assert predictions['y_pred'].tolist() == y_pred.tolist()
    assert capsys.readouterr().out == ''


def test_set_seed_seeds_every_generator(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.cuda, 'manual_seed_all', seen.append)
    draws = []
    for _ in range(2):
        msa_utils.set_seed(7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
    assert set(seen) == {7}


def test_a_loader_that_stays_on_the_device_gives_the_same_batches(small_file, device):
    """Two epochs: same utterances, same order, same random numbers left behind."""
    batches, drawn = [], []
    for on_device in (False, True):
        loader = make_loader(small_file, 'train')
        loader = DeviceLoader(loader, device) if on_device else loader
        torch.manual_seed(3)
        batches.append([[x.cpu() for x in batch] for _ in range(2) for batch in loader])
        drawn.append(torch.rand(1).item())
        assert len(loader) == 7
    assert drawn[0] == drawn[1]
    for first, second in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_device_loader_converts_every_utterance_once(small_file, monkeypatch):
    converted = []
    original = MOSIDataset.__getitem__
    monkeypatch.setattr(
        MOSIDataset, '__getitem__', lambda self, i: converted.append(i) or original(self, i)
    )
    loader = DeviceLoader(make_loader(small_file, 'train'), 'cpu')
    assert sum(len(batch[3]) for _ in range(3) for batch in loader) == 3 * 97
    assert sorted(converted) == list(range(97))


def test_the_same_seed_gives_the_same_training_on_any_device(small_file, device, workdir):
    histories = []
    for _ in range(2):
        msa_utils.set_seed(42)
        model = msa_utils.AblationModel().to(device)
        loaders = [DeviceLoader(make_loader(small_file, s), device) for s in ('train', 'valid')]
        optimizer = torch.optim.Adam(model.parameters())
        scheduler = CosineAnnealingLR(optimizer, 14)
        histories.append(
            msa_utils.train_model(
                model, *loaders, nn.MSELoss(), optimizer, scheduler, device, 2, quiet=True
            )
        )
    assert histories[0] == histories[1]


def test_zero_epochs_are_refused(small_file, workdir):
    with pytest.raises(ValueError, match='epochs must be at least 1'):
        fit(Dial(), small_file, epochs=0)


def test_training_learns(small_file, workdir):
    torch.manual_seed(0)
    model = MultimodalSentimentAnalysisModel()
    history = fit(model, small_file, epochs=8, quiet=True)
    assert history[-1]['train_loss'] < 0.5 * history[0]['train_loss']


def test_tensorboard_has_both_losses_under_one_tag(small_file, workdir):
    with RunWriter('runs/a') as writer:
        history = fit(Dial(), small_file, epochs=2, writer=writer, quiet=True)
    scalars = read_scalars('runs/a')
    for split in ('train', 'valid'):
        steps, values = scalars[split, 'loss']
        assert steps == [1, 2]
        assert values == pytest.approx([record[f'{split}_loss'] for record in history])
    assert scalars['train', 'lr'][1] == pytest.approx([record['lr'] for record in history])
    for name in METRICS:
        logged = scalars['valid', f'metrics/{name}'][1]
        assert logged == pytest.approx([record[name] for record in history], nan_ok=True)


def test_two_trainings_do_not_share_a_log_directory(small_file, workdir):
    main(small_file, epochs=1, log_dir='runs/a', quiet=True)
    with pytest.raises(FileExistsError, match='runs/a 里已经有一次训练的日志，请换一个 log_dir'):
        main(small_file, epochs=1, log_dir='runs/a', quiet=True)
    assert read_scalars('runs/a')['train', 'loss'][0] == [1]


def test_tensorboard_has_the_model_graph(small_file, workdir, capfd):
    batch = next(iter(make_loader(small_file, 'valid')))
    with RunWriter('runs/a') as writer:
        writer.add_graph(MultimodalSentimentAnalysisModel(), batch[:3])
    assert capfd.readouterr() == ('', '')
    nodes = read_graph('runs/a')
    assert {'text_norm', 'text_fc', 'text_lstm', 'mm_lstm', 'fc'} <= set(nodes)


def test_logs_that_are_not_there(workdir):
    with pytest.raises(FileNotFoundError, match='no TensorBoard scalars in runs'):
        read_scalars('runs')
    with pytest.raises(FileNotFoundError, match='no model graph in runs'):
        read_graph('runs')


def test_main_prints_trains_saves_and_tests(small_file, workdir, capsys):
    model, history, metrics = main(small_file, epochs=2, log_dir='runs/a')
    out = capsys.readouterr().out
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    assert out.startswith(f'Device: {device}\n')
    assert '\n========== test results: ==========\n' in out
    assert out.endswith(f'{metrics}\n')
    assert tuple(metrics) == METRICS
    assert len(history) == 2
    saved = torch.load('best_model.pth', weights_only=True)
    for name, value in model.state_dict().items():
        assert torch.equal(saved[name], value)
    assert ('train', 'loss') in read_scalars('runs/a')


def test_main_trains_another_model_in_the_same_way(small_file, workdir, capsys):
    class WithoutLayerNorm(MultimodalSentimentAnalysisModel):
        def __init__(self):
            super().__init__()
            self.vision_norm = self.text_norm = self.audio_norm = nn.Identity()

    model, history, _ = main(small_file, epochs=1, build=WithoutLayerNorm)
    assert isinstance(model, WithoutLayerNorm)
    assert 'text_norm.weight' not in torch.load('best_model.pth', weights_only=True)
    assert history != main(small_file, epochs=1)[1]


def test_the_same_seed_gives_the_same_numbers(small_file, workdir, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    _, first, metrics = main(small_file, epochs=2)
    torch.rand(5)  # what happened before must not matter
    _, again, metrics_again = main(small_file, epochs=2)
    assert first == again
    assert metrics == metrics_again
    _, other, _ = main(small_file, epochs=2, seed=43)
    assert other != first


def test_the_test_split_is_read_once_and_only_after_the_choice(
    small_file, workdir, monkeypatch, capsys
):
    opened = []
    original = msa_utils.MOSIDataset

    class Watched(original):
        def __init__(self, data_path, split='train'):
            saved = Path('best_model.pth')
            opened.append((split, saved.exists() and saved.stat().st_mtime_ns))
            super().__init__(data_path, split)

    monkeypatch.setattr(msa_utils, 'MOSIDataset', Watched)
    main(small_file, epochs=2)
    assert [split for split, _ in opened] == ['train', 'valid', 'test']
    assert [saved for _, saved in opened[:2]] == [False, False]
    assert opened[2][1] == Path('best_model.pth').stat().st_mtime_ns  # not saved again afterwards


def functions_that_name_the_test_split(source):
    """Names of the top-level definitions whose code (not docstring) has the string 'test'."""
    found = set()
    for node in ast.parse(source).body:
        strings = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
        if 'test' in strings:
            found.add(getattr(node, 'name', f'line {node.lineno}'))
    return found


@pytest.mark.parametrize('side', ['mirror', 'notebook'])
def test_one_function_alone_names_the_test_split(sources, side):
    assert functions_that_name_the_test_split(sources[side]) == {'evaluate_test_split'}


def test_without_weights_on_disk_there_is_no_test(small_file, workdir):
    with pytest.raises(FileNotFoundError):
        msa_utils.evaluate_test_split(Dial(), small_file, nn.MSELoss(), 'best_model.pth')


def command_line(*args, **env):
    """Run `python msa_utils.py` in the current directory."""
    return subprocess.run(
        [sys.executable, ROOT / 'msa_utils.py', *args],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | env,
    )


def test_the_command_without_data_is_one_clear_line(workdir):
    result = command_line()
    assert result.returncode == 1
    assert result.stderr.count('\n') == 1
    for part in ('mosi_raw.pkl', 'box.nju.edu.cn', 'python -m msa_lab.data.reviews'):
        assert part in result.stderr


def test_the_command_reads_msa_data_and_takes_empty_for_unset(workdir):
    assert 'no data file gone.pkl' in command_line(MSA_DATA='gone.pkl').stderr
    assert 'no data file mosi_raw.pkl' in command_line(MSA_DATA='').stderr


def test_the_command_with_a_file_that_is_no_data_is_one_clear_line(workdir):
    Path('a.pkl').write_text('<html>')
    result = command_line('a.pkl')
    assert result.returncode == 1
    assert result.stderr.startswith('error: a.pkl: is a web page that was saved')
    assert result.stderr.count('\n') == 1
