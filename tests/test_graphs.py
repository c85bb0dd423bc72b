"""CUDA graphs: the same training, launched differently. On the CPU they must change nothing."""

import copy
import pickle
from contextlib import contextmanager

import pytest
import torch
from torch import nn

import msa_utils
from msa_lab.graphs import captured
from msa_lab.loading import ResidentLoader
from msa_utils import AblationModel, evaluate, make_loader, set_seed, train_epoch


class Waiting(AblationModel):
    """Asks the GPU for a number in every forward pass, so it cannot be recorded."""

    def forward(self, vision, text, audio):
        return super().forward(vision, text, audio) * (1.0 if vision.sum().item() else 0.5)


class WithSpare(AblationModel):
    """Has parameters that it does not use."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


class Plain(AblationModel):
    capturable = False


def loaders(path, device):
    return [ResidentLoader(make_loader(path, split), device) for split in ('train', 'valid')]


def train(build, path, device, epochs=2):
    """Batch losses, the validation outputs and the model after training inside `captured`."""
    set_seed(42)
    model = build().to(device)
    train_loader, valid_loader = loaders(path, device)
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 14)
    losses, criterion = [], nn.MSELoss()
    with captured(model, train_loader):
        for _ in range(epochs):
            losses.append(train_epoch(model, train_loader, criterion, optimizer, scheduler, device))
            _, _, outputs, _ = evaluate(model, valid_loader, criterion, device)
    return torch.cat(losses), outputs, model


@pytest.mark.parametrize('build', [AblationModel, WithSpare, Waiting])
def test_the_training_is_that_of_the_plain_model(build, small_file, device):
    """97 utterances: six batches of 16 and one of one, which no recording fits."""
    losses, outputs, _ = train(build, small_file, device)
    plain = type('Plain', (build,), {'capturable': False})
    plain_losses, plain_outputs, _ = train(plain, small_file, device)
    assert len(losses) == 14
    torch.testing.assert_close(losses, plain_losses, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs, plain_outputs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('encoder', ['lstm', 'transformer'])  # the latter has dropout
def test_the_same_seed_gives_the_same_training(encoder, small_file, device):
    first, again = (train(lambda: AblationModel(encoder), small_file, device) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_only_a_capturable_model_on_a_gpu_is_recorded(small_file, device):
    for build, recorded in ((AblationModel, True), (Waiting, False), (Plain, False)):
        model = build().to(device)
        with captured(model, loaders(small_file, device)[0]):
            assert ('forward' in vars(model)) == (recorded and device.type == 'cuda')
    model = AblationModel().to(device)
    with captured(model, make_loader(small_file, 'train')):  # its batches come from elsewhere
        assert 'forward' not in vars(model)


def test_nothing_is_left_of_it(small_file, device):
    _, outputs, model = train(AblationModel, small_file, device, epochs=1)
    assert 'forward' not in vars(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.to(device)  # packs the weights of a copied LSTM
        _, _, again, _ = evaluate(other, loaders(small_file, device)[1], nn.MSELoss(), device)
        assert torch.equal(again, outputs)


def test_an_error_in_the_training_leaves_nothing_either(small_file, device):
    model = AblationModel().to(device)
    with pytest.raises(KeyboardInterrupt), captured(model, loaders(small_file, device)[0]):
        raise KeyboardInterrupt
    assert 'forward' not in vars(model)


def test_an_error_of_the_model_comes_up_as_ever(small_file, device):
    class Broken(AblationModel):
        def forward(self, vision, text, audio):
            return super().forward(text, vision, audio)

    with pytest.raises(RuntimeError, match='normalized_shape'):
        train(Broken, small_file, device)


def test_fit_trains_inside_it(small_file, workdir, monkeypatch):
    model, events = AblationModel(), []

    @contextmanager
    def watched(*args):
        events.append(args)
        yield
        events.append('end')

    monkeypatch.setattr(msa_utils, 'captured', watched)
    monkeypatch.setattr(msa_utils, 'train_model', lambda *args, **kw: events.append(args[:2]))
    msa_utils.fit(model, nn.MSELoss(), small_file, epochs=1, checkpoint='a.pth')
    begin, training, end = events
    assert begin == training == (model, training[1])
    assert isinstance(training[1], ResidentLoader)
    assert end == 'end'
