"""The baseline: its parts by name, its arithmetic, its range."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from msa_lab.data import WIDTHS
from msa_lab.models import count_parameters
from msa_lab.study import set_seed
from msa_utils import MultimodalSentimentAnalysisModel


def random_batch(size, device='cpu', scale=1.0):
    generator = torch.Generator().manual_seed(0)
    return [
        (scale * torch.randn(size, 50, width, generator=generator)).to(device)
        for width in WIDTHS.values()
    ]


@pytest.fixture
def model():
    set_seed(0)
    return MultimodalSentimentAnalysisModel()


def test_parts_are_those_of_the_contract(model):
    parts = dict(model.named_children())
    for modality, width in WIDTHS.items():
        assert parts[f'{modality}_norm'].normalized_shape == (width,)
        linear = parts[f'{modality}_fc']
        assert (linear.in_features, linear.out_features) == (width, 128)
    for name in ('vision_lstm', 'text_lstm', 'audio_lstm', 'mm_lstm'):
        lstm = parts[name]
        assert isinstance(lstm, nn.LSTM)
        settings = lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.dropout
        assert settings == (128, 128, 1, 0.1)
        assert lstm.batch_first
    assert (parts['fc'].in_features, parts['fc'].out_features) == (128, 1)
    assert len(parts) == 11


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_lstm(lstm, inputs):
    """An LSTM written out: (B, T, 128) -> (B, T, 128), gates in PyTorch's order i, f, g, o."""
    w_x, w_h, b_x, b_h = (p.detach().double().numpy() for p in lstm.parameters())
    hidden = cell = np.zeros((len(inputs), 128))
    outputs = []
    for step in range(inputs.shape[1]):
        i, f, g, o = np.split(inputs[:, step] @ w_x.T + b_x + hidden @ w_h.T + b_h, 4, axis=1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs, axis=1)


def test_forward_equals_the_formulas_written_in_numpy(model):
    with torch.no_grad():  # away from 1 and 0, where a forgotten LayerNorm weight would not show
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    batch = random_batch(3, scale=4.0)
    total = 0
    for (modality, _), features in zip(WIDTHS.items(), batch, strict=True):
        x = features.double().numpy()
        norm, linear = getattr(model, f'{modality}_norm'), getattr(model, f'{modality}_fc')
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
        x = x * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        x = np.maximum(x @ linear.weight.detach().numpy().T + linear.bias.detach().numpy(), 0)
        total = total + numpy_lstm(getattr(model, f'{modality}_lstm'), x)
    last = numpy_lstm(model.mm_lstm, total)[:, -1]
    logits = last @ model.fc.weight.detach().numpy().T + model.fc.bias.detach().numpy()
    np.testing.assert_allclose(model(*batch).detach(), 6 * sigmoid(logits) - 3, atol=1e-5)


@pytest.mark.parametrize('size', [1, 5])
def test_output_shape_and_range(model, device, size):
    model = model.to(device)
    with torch.no_grad():
        model.fc.weight.mul_(20)
    output = model(*random_batch(size, device))
    assert output.shape == (size, 1)
    assert output.device.type == device.type
    assert (output.abs() < 3).all()


def test_other_feature_widths():
    model = MultimodalSentimentAnalysisModel(vision_dim=20, text_dim=768, audio_dim=5)
    output = model(torch.zeros(2, 50, 20), torch.zeros(2, 50, 768), torch.zeros(2, 50, 5))
    assert output.shape == (2, 1)


def test_train_and_eval_mode_agree(model):
    """Dropout in a one-layer LSTM does nothing; section 6 of the notebook rests on it."""
    batch = random_batch(4)
    assert torch.equal(model.train()(*batch), model.eval()(*batch))


def test_the_dropout_warning_alone_is_silenced():
    """In a fresh process, because pytest has warning filters of its own."""
    code = (
        'import warnings, msa_utils\n'
        'with warnings.catch_warnings(record=True) as seen:\n'
        '    msa_utils.MultimodalSentimentAnalysisModel()\n'
        '    warnings.warn("another")\n'
        'print([str(w.message) for w in seen])'
    )
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['another']"


def test_parameter_count(model):
    assert count_parameters(model) == 582_067


def test_the_same_seed_gives_the_same_weights():
    states = []
    for _ in range(2):
        set_seed(7)
        states.append(MultimodalSentimentAnalysisModel().state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
