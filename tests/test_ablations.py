"""The configurable model and its parts: the baseline by default, and padding that never matters."""

import math

import pytest
import torch
from torch import nn

from msa_lab.data import load_split, padding_mask
from msa_lab.models import masked_mean, read_sequence
from msa_lab.study import set_seed
from msa_utils import (
    AblationModel,
    CrossAttentionFusion,
    MultimodalSentimentAnalysisModel,
    PositionEncoding,
    SelfAttentionFusion,
    TransformerEncoder,
    build_standardised,
    feature_statistics,
)
from tests.helpers import assert_utterances_do_not_mix

VARIANTS = {
    'baseline': {},
    'transformer': {'encoder': 'transformer'},
    'no position': {'encoder': 'transformer', 'position': False},
    'no LayerNorm': {'layer_norm': False},
    'text': {'modalities': ('text',)},
    'text and audio': {'modalities': ('text', 'audio')},
    'averaged': {'fusion': 'average'},
    'transformer, averaged': {'encoder': 'transformer', 'fusion': 'average'},
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
    with pytest.raises(ValueError, match="no fusion 'product'"):
        AblationModel(fusion='product')
    with pytest.raises(ValueError, match='at least two modalities'):
        AblationModel(fusion='cross_attention', modalities=('text',))


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


def test_averaged_is_the_mean_of_the_summed_sequences(batch):
    model = AblationModel(fusion='average').eval()
    padding, sequences = padding_mask(*batch), []
    for name, x in zip(('vision', 'text', 'audio'), batch, strict=True):
        x = torch.relu(model.get_submodule(f'{name}_fc')(model.get_submodule(f'{name}_norm')(x)))
        sequences.append(read_sequence(model.get_submodule(f'{name}_lstm'), x, padding))
    mean = masked_mean(sum(sequences), padding)
    torch.testing.assert_close(model(*batch), 6 * torch.sigmoid(model.fc(mean)) - 3)


def test_a_sequence_is_read_by_an_lstm_and_by_a_transformer():
    sequence, padding = torch.randn(2, 5, 128), torch.zeros(2, 5, dtype=torch.bool)
    padding[0, :3] = True
    lstm, encoder = nn.LSTM(128, 128, batch_first=True), TransformerEncoder().eval()
    assert torch.equal(read_sequence(lstm, sequence, padding), lstm(sequence)[0])
    assert torch.equal(read_sequence(encoder, sequence, padding), encoder(sequence, padding))


def test_standardised_features_have_mean_0_and_deviation_1_and_zeros_stay(small_file, batch):
    """Over the frames of the training split that are there; a missing face stays zeros."""
    data, seen = load_split(small_file, 'train'), []
    model = build_standardised(feature_statistics(small_file)).eval()
    model.model.register_forward_pre_hook(lambda m, args, kw: seen.append(kw), with_kwargs=True)
    features = [torch.tensor(getattr(data, name)) for name in ('vision', 'text', 'audio')]
    assert model(*features).shape == (len(data), 1)
    for name, before in zip(('vision', 'text', 'audio'), features, strict=True):
        there, after = before.any(-1), seen[0][name]
        assert (after[~there] == 0).all()
        assert after[there].mean(0).abs().max() < 1e-3
        spread = after[there].std(0, correction=0)
        assert (spread - 1)[before[there].std(0) > 0].abs().max() < 1e-3
