"""`read_padding_once`: the same numbers from fewer steps; `faster`: the same batches."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from msa_lab.speed import DeviceLoader, default_device, faster, read_padding_once
from msa_lab.study import set_seed
from msa_utils import AblationModel, make_loader, train_epoch

LENGTHS = {
    'mixed': (3, 9, 1, 4),
    'two long': (9, 9, 2, 1),
    'all alike': (4, 4, 4, 4),
    'no padding': (10, 10, 10, 10),
    'one of them full': (10, 1, 1, 1),
    'all but one full': (10, 10, 10, 2),
    'alone': (3,),
    'alone and full': (10,),
}


class Reader(nn.Module):
    """A model with one LSTM over its text, which is the same wherever utterances are padded."""

    def __init__(self, lstm=None):
        super().__init__()
        self.fc, self.lstm = nn.Linear(4, 8), lstm or nn.LSTM(8, 8, batch_first=True)

    def forward(self, vision, text, audio):
        return self.lstm(torch.relu(self.fc(text)))


def features_of(lengths, steps=10):
    """Three modalities (B, steps, width), with zeros in front of the last `lengths[i]` steps."""
    padding = torch.arange(steps) < steps - torch.tensor(lengths).unsqueeze(1)
    return [torch.randn(len(lengths), steps, width) * ~padding.unsqueeze(-1) for width in (2, 4, 3)]


@pytest.fixture
def cells(monkeypatch):
    """How many utterances x steps each call of an LSTM computes."""
    counted, original = [], nn.LSTM.forward

    def counting(self, x, *state):
        if isinstance(x, torch.Tensor):
            counted.append(x.shape[0] * x.shape[1])
        return original(self, x, *state)

    monkeypatch.setattr(nn.LSTM, 'forward', counting)
    return counted


@pytest.mark.parametrize('case', LENGTHS)
def test_outputs_states_and_gradients_are_those_of_the_lstm(case):
    set_seed(0)
    model, features, found = Reader(), features_of(LENGTHS[case]), []
    for once in (False, True):
        model.zero_grad()
        if once:
            with read_padding_once(model):
                output, (hidden, cell) = model(*features)
        else:
            output, (hidden, cell) = model(*features)
        output.square().sum().backward()
        found.append([output, hidden, cell, *(p.grad.clone() for p in model.parameters())])
    torch.testing.assert_close(*found)


def test_the_gradients_of_a_whole_model_are_the_same(batch):
    model, gradients = AblationModel(), []
    for once in (False, True):
        model.zero_grad()
        if once:
            with read_padding_once(model):
                model(*batch).square().sum().backward()
        else:
            model(*batch).square().sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-3)


def test_few_steps_are_computed(cells):
    model = Reader()
    with read_padding_once(model):
        model(*features_of([40, 12, 9, 5] * 4, steps=50))
    assert sum(cells) == 5 * 38 + 16 * 12  # of 800: four long ones and one more, then everyone


OTHERS = {
    'both directions': dict(bidirectional=True, batch_first=True),
    'two layers': dict(num_layers=2, batch_first=True),
    'time first': {},
}


@pytest.mark.parametrize('kind', OTHERS)
def test_an_lstm_of_another_kind_is_left_alone(kind, cells):
    model, features = Reader(nn.LSTM(8, 8, **OTHERS[kind])), features_of((3, 9, 1, 4))
    with read_padding_once(model):
        assert 'forward' not in vars(model.lstm)
        output, _ = model(*features)
    assert torch.equal(output, model(*features)[0])
    assert cells == [40, 40]


class Shifted(Reader):
    """What its LSTM reads is another for every utterance, also on padding."""

    def forward(self, vision, text, audio):
        shift = torch.arange(len(text)).view(-1, 1, 1)
        return self.lstm(torch.relu(self.fc(text)) + shift)


class Continued(Reader):
    """Its LSTM begins with a state."""

    def forward(self, vision, text, audio):
        state = torch.ones(1, len(text), 8)
        return self.lstm(torch.relu(self.fc(text)), (state, state))


class Packed(Reader):
    """Its LSTM reads a packed sequence."""

    def forward(self, vision, text, audio):
        packed = pack_padded_sequence(self.fc(text), [10] * len(text), batch_first=True)
        output, state = self.lstm(packed)
        return output.data, state


class Half(Reader):
    """Its LSTM reads only the second half of the steps."""

    def forward(self, vision, text, audio):
        return self.lstm(torch.relu(self.fc(text[:, 5:])))


@pytest.mark.parametrize('kind', [Shifted, Continued, Packed, Half])
def test_what_is_not_equal_on_padding_is_read_as_ever(kind):
    set_seed(0)
    model, features = kind(), features_of((3, 9, 1, 4))
    expected = model(*features)[0]
    with read_padding_once(model):
        torch.testing.assert_close(model(*features)[0], expected, rtol=0, atol=0)


def test_the_model_is_as_before_behind_the_block_also_after_an_error():
    model = Reader()
    with read_padding_once(model):
        assert 'forward' in vars(model.lstm)
    with pytest.raises(ZeroDivisionError), read_padding_once(model):
        raise ZeroDivisionError
    assert 'forward' not in vars(model.lstm)
    assert not model._forward_pre_hooks


def test_a_block_inside_a_block_changes_nothing(cells):
    model, features = Reader(), features_of((3, 9, 1, 4))
    with read_padding_once(model):
        with read_padding_once(model):
            model(*features)
        model(*features)
    assert cells[:2] == cells[2:]
    assert len(cells) == 4
    assert 'forward' not in vars(model.lstm)


def test_on_a_gpu_nothing_is_changed(device):
    model = Reader().to(device)
    features = [x.to(device) for x in features_of((3, 9, 1, 4))]
    expected = model(*features)[0]
    with read_padding_once(model):
        assert ('forward' in vars(model.lstm)) == (device.type == 'cpu')
        assert bool(model._forward_pre_hooks) == (device.type == 'cpu')
        torch.testing.assert_close(model(*features)[0], expected)


# `faster`


def test_the_loaders_of_faster_give_the_batches_of_the_loaders(small_file, device):
    model = AblationModel().to(device)
    loaders = [make_loader(small_file, split) for split in ('train', 'valid')]
    set_seed(1)
    expected = [[batch[3].tolist() for batch in loader] for loader in loaders]
    set_seed(1)
    with faster(model, *loaders) as resident:
        assert all(isinstance(loader, DeviceLoader) for loader in resident)
        found = [[batch[3].tolist() for batch in loader] for loader in resident]
    assert found == expected
    assert 'forward' not in vars(model)


def test_the_training_is_that_with_the_loaders_themselves(small_file):
    losses = []
    for sooner in (False, True):
        set_seed(42)
        model = AblationModel().to(default_device())
        loader, optimizer = make_loader(small_file, 'train'), torch.optim.Adam(model.parameters())
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
        rest = nn.MSELoss(), optimizer, scheduler, default_device()
        with faster(model, loader) if sooner else nullcontext([loader]) as (batches,):
            losses.append(torch.cat([train_epoch(model, batches, *rest) for _ in range(2)]))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)
    assert torch.equal(*losses) or torch.cuda.is_available()


def test_the_batches_are_on_the_device(small_file):
    with faster(AblationModel(), make_loader(small_file, 'train')) as (resident,):
        assert {x.device for x in resident.columns} == {default_device()}


def test_an_error_in_the_training_comes_up(small_file):
    model = AblationModel().to(default_device())
    with pytest.raises(ZeroDivisionError), faster(model, make_loader(small_file, 'train')):
        raise ZeroDivisionError
    assert 'forward' not in vars(model)
