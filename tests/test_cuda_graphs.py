"""CUDA graphs: the same training, launched differently. On the CPU they must change nothing."""

import copy
import pickle
import random
from contextlib import contextmanager

import pytest
import torch
from torch import nn

import msa_utils
from msa_lab.speed import DeviceLoader, cuda_graphs, run_as_cuda_graphs
from msa_lab.study import set_seed
from msa_utils import AblationModel, evaluate, make_loader, train_epoch


class Waiting(AblationModel):
    """Asks the GPU for a number in every forward pass, so it cannot be recorded."""

    capturable = True

    def forward(self, vision, text, audio):
        return super().forward(vision, text, audio) * (1.0 if vision.sum().item() else 0.5)


class WithSpare(AblationModel):
    """Has parameters that it does not use."""

    capturable = True

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(2, 2)


class Plain(AblationModel):
    capturable = False


class RandomScale(AblationModel):
    """Draws a number in Python in every forward pass; it does not say that it is capturable."""

    def forward(self, vision, text, audio):
        return super().forward(vision, text, audio) * random.uniform(0.5, 1.5)


def loaders(path, device):
    return [DeviceLoader(make_loader(path, split), device) for split in ('train', 'valid')]


def train(build, path, device, epochs=2):
    """Batch losses, validation outputs and the model, trained inside `run_as_cuda_graphs`."""
    set_seed(42)
    model = build().to(device)
    train_loader, valid_loader = loaders(path, device)
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 14)
    losses, criterion = [], nn.MSELoss()
    with run_as_cuda_graphs(model, train_loader):
        for _ in range(epochs):
            losses.append(train_epoch(model, train_loader, criterion, optimizer, scheduler, device))
            _, _, outputs, _ = evaluate(model, valid_loader, criterion, device)
    return torch.cat(losses), outputs, model


@pytest.mark.parametrize('build', [AblationModel, WithSpare, Waiting, RandomScale])
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
    cases = (AblationModel, True), (Waiting, False), (Plain, False), (RandomScale, False)
    for build, recorded in cases:
        model = build().to(device)
        with run_as_cuda_graphs(model, loaders(small_file, device)[0]):
            assert ('forward' in vars(model)) == (recorded and device.type == 'cuda')
    model = AblationModel().to(device)
    with run_as_cuda_graphs(model, make_loader(small_file, 'train')):  # its batches are on the CPU
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
    with (
        pytest.raises(KeyboardInterrupt),
        run_as_cuda_graphs(model, loaders(small_file, device)[0]),
    ):
        raise KeyboardInterrupt
    assert 'forward' not in vars(model)


def test_an_error_of_the_model_comes_up_as_ever(small_file, device):
    class Broken(AblationModel):
        capturable = True

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

    monkeypatch.setattr('msa_lab.speed.faster_training.run_as_cuda_graphs', watched)
    monkeypatch.setattr(msa_utils, 'train_model', lambda *args, **kw: events.append(args[:2]))
    msa_utils.fit(model, small_file, nn.MSELoss(), epochs=1, checkpoint='a.pth')
    begin, training, end = events
    assert begin == training == (model, training[1])
    assert isinstance(training[1], DeviceLoader)
    assert end == 'end'


# Without a GPU: a double of PyTorch's recording that has the traits of it that can do harm


def overwriting(model, features, **options):
    """As `make_graphed_callables`, on the CPU.

    Every pass leaves its results where the last one had them, and numbers that Python draws are
    those of the recording, whenever it is replayed.
    """
    original, parameters = model.forward, tuple(model.parameters())
    inputs = [x.clone() for x in features]
    score = torch.empty(len(features[0]), 1)
    gradients = [torch.empty_like(p) for p in parameters]
    recorded_numbers = random.getstate()

    def replayed():
        numbers = random.getstate()
        random.setstate(recorded_numbers)
        try:
            return original(*inputs)
        finally:
            random.setstate(numbers)

    class Replay(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            for kept, x in zip(inputs, args, strict=False):
                kept.copy_(x)
            return score.copy_(replayed()).detach()

        @staticmethod
        def backward(ctx, gradient):
            with torch.enable_grad():
                output = replayed()  # of the last batch, whichever pass asks
            for kept, new in zip(
                gradients, torch.autograd.grad(output, parameters, gradient), strict=True
            ):
                kept.copy_(new)
            return None, None, None, *(g.detach() for g in gradients)

    model.forward = lambda *batch: (
        Replay.apply(*batch, *parameters) if model.training else original(*batch)
    )


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The CPU is taken for a GPU, with the double in place of PyTorch's recording."""
    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', overwriting)
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', lambda mode: None)
    monkeypatch.setattr(cuda_graphs, '_is_on_gpu', lambda loader: True)


@pytest.fixture
def pair(monkeypatch):
    """A model that is recorded with the double, and its plain twin."""
    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', overwriting)
    set_seed(0)
    model = AblationModel()
    twin = copy.deepcopy(model)
    features = [torch.randn(4, 50, width) for width in (35, 300, 74)]
    model.forward = cuda_graphs._record_forward(model.train(), features)
    return model, twin.train()


def batches(*sizes):
    generator = torch.Generator().manual_seed(1)
    return [[torch.randn(n, 50, w, generator=generator) for w in (35, 300, 74)] for n in sizes]


def assert_same_gradients(model, twin):
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_scores_that_are_kept_stay(pair):
    kept = []
    for batch in batches(4, 4, 3, 4):
        scores = [net(*batch) for net in pair]
        scores[0].sum().backward()
        kept.append(scores)
    for ours, theirs in kept:
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('zero_grad', [None, True, False])
def test_gradients_are_added_up_or_zeroed_or_dropped(pair, zero_grad):
    for batch in batches(4, 4, 3, 4, 4):
        for net in pair:
            output = net(*batch)
            if zero_grad is not None:
                net.zero_grad(set_to_none=zero_grad)
            output.square().sum().backward()
        assert_same_gradients(*pair)


def test_two_passes_before_one_backward(pair):
    for _ in range(2):
        first, second = batches(4, 4)
        for net in pair:
            net.zero_grad()
            (net(*first) - 2 * net(*second)).square().sum().backward()
        assert_same_gradients(*pair)


def test_keywords_and_evaluation_go_the_usual_way(pair):
    vision, text, audio = batches(4)[0]
    ours, theirs = (net(vision=vision, text=text, audio=audio) for net in pair)
    torch.testing.assert_close(ours, theirs)
    for net in pair:
        net.eval()
    with torch.no_grad():
        torch.testing.assert_close(pair[0](vision, text, audio), pair[1](vision, text, audio))


def test_a_trial_leaves_no_gradient_and_no_mode(monkeypatch):
    modes, model = [], AblationModel()
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)
    assert not cuda_graphs._waits_for_gpu(model, batches(2)[0])
    assert cuda_graphs._waits_for_gpu(model, batches(2)[0][::-1])  # an error of the model
    assert modes == ['error', 'default'] * 2
    assert all(p.grad is None for p in model.parameters())


def test_a_recording_ends_with_the_training(small_file, as_on_a_gpu):
    losses, outputs, model = train(AblationModel, small_file, 'cpu')
    plain_losses, plain_outputs, _ = train(Plain, small_file, 'cpu')
    torch.testing.assert_close(losses, plain_losses, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outputs, plain_outputs, rtol=1e-3, atol=1e-3)
    assert 'forward' not in vars(model)
    model.forward = replaced = lambda *batch: AblationModel.forward(model, *batch)
    with run_as_cuda_graphs(model, loaders(small_file, 'cpu')[0]):
        assert model.forward is not replaced
    assert model.forward is replaced


def test_a_subclass_does_not_inherit_capturable(small_file, as_on_a_gpu):
    """A number that Python draws anew for every batch would be recorded as a constant."""
    for build, recorded in ((AblationModel, True), (RandomScale, False), (Plain, False)):
        model = build()
        with run_as_cuda_graphs(model, loaders(small_file, 'cpu')[0]):
            assert ('forward' in vars(model)) == recorded
    losses, outputs, _ = train(RandomScale, small_file, 'cpu')
    refused = type('Refused', (RandomScale,), {'capturable': False})
    plain_losses, plain_outputs, _ = train(refused, small_file, 'cpu')
    assert torch.equal(losses, plain_losses)
    assert torch.equal(outputs, plain_outputs)
    promised = type('Promised', (RandomScale,), {'capturable': True})  # the harm is real
    assert not torch.allclose(train(promised, small_file, 'cpu')[0], plain_losses, rtol=1e-2)
