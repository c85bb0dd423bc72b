"""The configurable model and its parts: the baseline by default, and padding that never matters."""

import math

import pytest
import torch
from torch import nn

from msa_utils import (
    AblationModel,
    ConstantModel,
    CrossAttentionFusion,
    MultimodalSentimentAnalysisModel,
    PositionEncoding,
    RecurrentEncoder,
    SelfAttentionFusion,
    TransformerEncoder,
    UniqueSteps,
    masked_mean,
    padding_mask,
    set_seed,
    shared_padding,
)
from tests.helpers import assert_utterances_do_not_mix

VARIANTS = {
    'baseline': {},
    'transformer': {'encoder': 'transformer'},
    'no position': {'encoder': 'transformer', 'position': False},
    'no LayerNorm': {'layer_norm': False},
    'text': {'modalities': ('text',)},
    'text and audio': {'modalities': ('text', 'audio')},
    'self-attention': {'fusion': 'self_attention'},
    'cross-attention': {'fusion': 'cross_attention'},
}


def test_the_defaults_are_the_baseline(batch, device):
    set_seed(0)
    baseline = MultimodalSentimentAnalysisModel().to(device)
    set_seed(0)
    same_seed = AblationModel().to(device)
    assert list(same_seed.state_dict()) == list(baseline.state_dict())
    for name, value in baseline.state_dict().items():
        assert torch.equal(same_seed.state_dict()[name], value)
    batch = [x.to(device) for x in batch]
    torch.testing.assert_close(same_seed(*batch), baseline(*batch), atol=1e-5, rtol=0)


def test_gradients_of_the_defaults_are_the_baseline_s(batch):
    baseline, model = MultimodalSentimentAnalysisModel(), AblationModel()
    model.load_state_dict(baseline.state_dict())
    baseline(*batch).square().sum().backward()
    model(*batch).square().sum().backward()
    theirs = dict(baseline.named_parameters())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('name', VARIANTS)
def test_every_variant_scores_inside_the_range_and_trains(batch, device, name):
    model = AblationModel(**VARIANTS[name]).to(device)
    for size in (1, 16):
        output = model(*(x[:size].to(device) for x in batch))
        assert output.shape == (size, 1)
        assert (output.abs() < 3).all()
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('name', VARIANTS)
def test_a_score_does_not_depend_on_the_other_utterances_of_the_batch(batch, name):
    set_seed(0)
    model = AblationModel(**VARIANTS[name]).eval()
    assert_utterances_do_not_mix(model, batch)


@pytest.mark.parametrize('name', VARIANTS)
def test_an_utterance_of_nothing_but_padding_has_a_score(name):
    model = AblationModel(**VARIANTS[name]).eval()
    empty = [torch.zeros(2, 50, width) for width in (35, 300, 74)]
    assert model(*empty).isfinite().all()


@pytest.mark.parametrize('modality', [0, 1, 2])
def test_modalities_that_are_left_out_do_not_matter(batch, modality):
    name = ('vision', 'text', 'audio')[modality]
    model = AblationModel(modalities=(name,)).eval()
    changed = [x if i == modality else 2 * x for i, x in enumerate(batch)]
    assert torch.equal(model(*batch), model(*changed))
    changed = [2 * x if i == modality else x for i, x in enumerate(batch)]
    changed[modality][:, -1, 0] += 3
    assert not torch.equal(model(*batch), model(*changed))


def test_without_layer_norm_the_scale_matters():
    features = [torch.randn(2, 50, width) for width in (35, 300, 74)]
    louder = [5 * x for x in features]
    for layer_norm in (True, False):
        model = AblationModel(layer_norm=layer_norm)
        same = torch.allclose(model(*features), model(*louder), atol=1e-3)
        assert same is layer_norm


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="'lstm' or 'transformer'; got 'gru'"):
        AblationModel(encoder='gru')
    with pytest.raises(ValueError, match="got 'product'"):
        AblationModel(fusion='product')
    with pytest.raises(ValueError, match='at least two modalities'):
        AblationModel(fusion='cross_attention', modalities=('text',))


def test_padding_mask_follows_the_definition():
    vision, text, audio = torch.zeros(3, 6, 2), torch.zeros(3, 6, 3), torch.zeros(3, 6, 1)
    text[0, 3] = 1  # a zero step behind the first word is not padding
    audio[1, 1] = -1
    mask = padding_mask(vision, text, audio)
    assert mask.tolist() == [
        [True, True, True, False, False, False],
        [True, False, False, False, False, False],
        [True] * 5 + [False],
    ]
    assert shared_padding(mask) == 1
    assert shared_padding(mask[:1]) == 3


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


@pytest.mark.parametrize('case', LENGTHS)
def test_recurrent_encoder_equals_lstm(case, device):
    """Outputs and gradients, whatever the lengths; and padding is not computed for everyone."""
    set_seed(0)
    lstm, encoder = (
        kind(8, 8, batch_first=True).to(device) for kind in (nn.LSTM, RecurrentEncoder)
    )
    encoder.load_state_dict(lstm.state_dict())
    rows = [[step < 10 - length for step in range(10)] for length in LENGTHS[case]]
    padding = torch.tensor(rows, device=device)
    constant = torch.randn(8, device=device)  # what padding looks like behind Linear and ReLU
    sequence = torch.randn(len(padding), 10, 8, device=device)
    sequence = torch.where(padding.unsqueeze(-1), constant, sequence)
    torch.testing.assert_close(encoder(sequence, padding), lstm(sequence)[0])
    for module, output in ((encoder, encoder(sequence, padding)), (lstm, lstm(sequence)[0])):
        output.square().sum().backward()
        module.gradients = [p.grad for p in module.parameters()]
    torch.testing.assert_close(encoder.gradients, lstm.gradients)


def test_recurrent_encoder_computes_few_steps(monkeypatch):
    cells = []
    original = nn.LSTM.forward

    def counting(self, x, *state):
        cells.append(x.shape[0] * x.shape[1])
        return original(self, x, *state)

    monkeypatch.setattr(nn.LSTM, 'forward', counting)
    encoder = RecurrentEncoder(8, 8, batch_first=True)
    padding = torch.tensor([[step < 50 - n for step in range(50)] for n in [40, 12, 9, 5] * 4])
    encoder(torch.zeros(16, 50, 8), padding)
    assert sum(cells) == 5 * 38 + 16 * 12  # of 800: four long ones and one more, then everyone


def test_unique_steps_are_those_that_are_not_padding_and_one_that_is():
    padding = torch.tensor([[True, True, False], [True, False, False]])
    unique, x = UniqueSteps(padding), torch.randn(2, 3, 4) * ~padding.unsqueeze(-1)
    assert unique.gather(x).shape == (4, 4)
    assert torch.equal(unique.scatter(unique.gather(x)), x)
    full = UniqueSteps(torch.zeros(2, 3, dtype=torch.bool))
    assert full.gather(x).shape == (6, 4)
    assert torch.equal(full.scatter(full.gather(x)), x)


def test_position_encoding_against_the_formula():
    table = PositionEncoding(8)(torch.zeros(1, 20, 8))[0]
    for step in (0, 1, 7, 19):
        for j in range(4):
            angle = step / 10000 ** (2 * j / 8)
            assert table[step, 2 * j].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[step, 2 * j + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)


def test_only_the_position_encoding_sees_the_order():
    sequence, padding = torch.randn(2, 5, 128), torch.zeros(2, 5, dtype=torch.bool)
    order = torch.tensor([3, 0, 4, 1, 2])
    for position in (False, True):
        encoder = TransformerEncoder(position).eval()
        same = torch.allclose(
            encoder(sequence[:, order], padding), encoder(sequence, padding)[:, order], atol=1e-5
        )
        assert same is not position


@pytest.mark.parametrize('fusion', [SelfAttentionFusion, CrossAttentionFusion])
def test_attention_never_looks_at_padding(fusion):
    module = fusion(3).eval()
    sequences = [torch.randn(2, 6, 128) for _ in range(3)]
    padding = torch.tensor([[True, True, False, False, False, False], [False] * 6])
    changed = [s.masked_fill(padding.unsqueeze(-1), 9.0) for s in sequences]
    torch.testing.assert_close(module(changed, padding), module(sequences, padding))


def test_masked_mean():
    sequence = torch.tensor([[[1.0], [2.0], [6.0]]])
    assert masked_mean(sequence, torch.tensor([[True, False, False]])).item() == 4.0


def test_the_constant_model_gives_one_number():
    model = ConstantModel(0.3)
    output = model(torch.randn(5, 50, 35), torch.randn(5, 50, 300), torch.randn(5, 50, 74))
    assert output.shape == (5, 1)
    assert set(output.detach().ravel().tolist()) == {torch.tensor(0.3).item()}
