"""The cited systems: above all, the parts that go wrong when a paper is re-implemented."""

import math
from copy import deepcopy
from inspect import signature

import pytest
import torch
from torch import nn

from msa_lab import data
from msa_lab.models import AMP, MISA, TFN, count_parameters, masked_mean, tensor_fusion
from msa_lab.models.amp import ReverseGradient, soft_top_k
from msa_lab.models.misa import BidirectionalEncoder, central_moment_discrepancy, difference_loss
from msa_lab.models.padding import cut_shared_padding, roll_steps
from msa_lab.models.tfn import AveragedEncoder
from msa_lab.study import set_seed
from msa_utils import evaluate, evaluate_test_split, fit, make_loader, padding_mask
from tests.helpers import assert_more_padding_changes_nothing, assert_utterances_do_not_mix

MODELS = [TFN, MISA, AMP]


def criterion_of(model):
    return model.criterion() if hasattr(model, 'criterion') else nn.MSELoss()


@pytest.fixture
def labels(small_file):
    return next(iter(make_loader(small_file, 'valid')))[3]


@pytest.mark.parametrize('build', MODELS)
def test_scores_are_on_the_scale_of_the_labels(build, batch, device):
    model = build().to(device)
    features = [x.to(device) for x in batch]
    for mode in (True, False):
        score = model.train(mode)(*features)
        assert score.shape == (16, 1)
        assert score.abs().max() < 3


@pytest.mark.parametrize('build', MODELS)
def test_other_widths_and_lengths(build):
    model = build(vision_dim=20, text_dim=768, audio_dim=5, dropout=0.05)
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.05}
    loss = criterion_of(model)
    score = model(torch.randn(3, 11, 20), torch.randn(3, 11, 768), torch.randn(3, 11, 5))
    loss(score.squeeze(-1), torch.zeros(3)).backward()
    assert score.shape == (3, 1)


@pytest.mark.parametrize('build', MODELS)
def test_every_parameter_learns(build, batch, labels, device):
    set_seed(0)
    model = build().to(device)
    loss = criterion_of(model)
    loss(model(*(x.to(device) for x in batch)).squeeze(-1), labels.to(device)).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize('build', MODELS)
def test_a_batch_of_one_utterance_can_be_trained_on(build, batch):
    model = build()
    loss = criterion_of(model)(model(*(x[:1] for x in batch)).squeeze(-1), torch.ones(1))
    loss.backward()
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert math.isfinite(loss.item())
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize('build', MODELS)
def test_neither_other_utterances_nor_padding_change_a_score(build, batch):
    set_seed(0)
    model = build().eval()
    assert_utterances_do_not_mix(model, batch, atol=2e-5)
    assert_more_padding_changes_nothing(model, batch, atol=2e-5)


@pytest.mark.parametrize('build', MODELS)
def test_trained_by_the_loops_of_the_lab(build, small_file, workdir):
    set_seed(0)
    model = build()
    criterion = criterion_of(model)
    history = fit(model, small_file, criterion, epochs=2, checkpoint='w.pth', quiet=True)
    assert [record['epoch'] for record in history] == [1, 2]
    metrics, _ = evaluate_test_split(model, small_file, criterion, 'w.pth', quiet=True)
    assert tuple(metrics) == data.METRICS


@pytest.mark.parametrize('build', MODELS)
def test_the_validation_loss_is_the_mse_alone(build, small_file):
    model = build()
    loader = make_loader(small_file, 'valid')
    loss, _, y_pred, y_true = evaluate(model, loader, criterion_of(model), 'cpu')
    batches = [
        nn.functional.mse_loss(*pair)
        for pair in zip(y_pred.split(16), y_true.split(16), strict=True)
    ]
    assert loss == pytest.approx(torch.stack(batches).mean().item(), rel=1e-5)


@pytest.mark.parametrize('build', MODELS)
def test_the_training_of_the_paper_is_in_arguments_of_fit(build):
    assert {'lr', 'batch_size'} <= set(build.PAPER_TRAINING) <= set(signature(fit).parameters)
    assert all(value > 0 for value in build.PAPER_TRAINING.values())


def test_trainable_parameters_are_counted():
    layer = nn.Linear(3, 2)
    assert count_parameters(layer) == 8
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


# Padding


def test_the_padding_is_that_of_the_notebook(batch):
    *_, padding = cut_shared_padding(*batch)
    expected = padding_mask(*batch)
    assert torch.equal(data.padding_mask(*batch), expected)
    assert torch.equal(padding, expected[:, -padding.shape[1] :])


def test_cutting_off_shared_padding_keeps_every_true_step(batch):
    *features, padding = cut_shared_padding(*batch)
    steps = padding.shape[1]
    assert not padding[:, 0].all()  # the longest utterance begins here
    for before, after in zip(batch, features, strict=True):
        assert torch.equal(after, before[:, -steps:])
        assert not before[:, :-steps].any()


def test_an_utterance_of_nothing_but_padding_keeps_one_step():
    *_, padding = cut_shared_padding(*(torch.zeros(2, 5, width) for width in (3, 4, 2)))
    assert padding.tolist() == [[False], [False]]


def test_every_utterance_is_rotated_by_its_own_shift():
    sequence = torch.arange(8.0).view(2, 4, 1)
    rolled = roll_steps(sequence, torch.tensor([1, -1]))
    assert rolled.squeeze(-1).tolist() == [[1, 2, 3, 0], [7, 4, 5, 6]]


def test_means_are_over_the_true_steps():
    sequence, padding = torch.zeros(3, 6, 3), torch.ones(3, 6, dtype=torch.bool)
    sequence[0, 4:], padding[0, 4:] = 2.0, False
    sequence[1], padding[1] = torch.arange(6.0).unsqueeze(-1), False
    sequence[2] = 7.0  # nothing but padding: 0, not nan
    torch.testing.assert_close(
        masked_mean(sequence, padding), torch.tensor([[2.0] * 3, [2.5] * 3, [0.0] * 3])
    )


# TFN


def test_the_outer_product_has_the_single_features_and_the_products_of_two():
    audio, vision, text = torch.randn(3, 4), torch.randn(3, 16), torch.randn(3, 64)
    cube = tensor_fusion(audio, vision, text).view(3, 5, 17, 65)
    assert (cube[:, 0, 0, 0] == 1).all()
    torch.testing.assert_close(cube[:, 1:, 0, 0], audio)
    torch.testing.assert_close(cube[:, 0, 1:, 0], vision)
    torch.testing.assert_close(cube[:, 0, 0, 1:], text)
    for b, i, j, k in ((0, 1, 2, 3), (2, 3, 15, 63)):
        assert cube[b, i + 1, 0, k + 1].item() == pytest.approx((audio[b, i] * text[b, k]).item())
        product = audio[b, i] * vision[b, j] * text[b, k]
        assert cube[b, i + 1, j + 1, k + 1].item() == pytest.approx(product.item())


def test_one_utterance_is_normalised_by_the_running_statistics(batch):
    encoder = AveragedEncoder(35, 16, dropout=0.0)
    padding = padding_mask(*batch)
    encoder(batch[0], padding)  # the statistics have seen something
    running = encoder.norm.running_mean.clone()
    training = encoder(batch[0][:1], padding[:1])
    assert torch.equal(encoder.norm.running_mean, running)
    torch.testing.assert_close(training, encoder.eval()(batch[0][:1], padding[:1]))


# MISA


def test_cmd_is_the_formula():
    x, y = torch.rand(40, 3, dtype=torch.float64), torch.rand(25, 3, dtype=torch.float64) ** 2
    expected = 0.0
    for k in range(1, 6):
        moments = []
        for sample in (x, y):
            columns = []
            for column in sample.T.tolist():
                mean = sum(column) / len(column)
                centred = [(value - mean) ** k for value in column]
                columns.append(mean if k == 1 else sum(centred) / len(column))
            moments.append(columns)
        expected += math.dist(*moments)
    assert central_moment_discrepancy(x, y).item() == pytest.approx(expected, rel=1e-12)
    assert central_moment_discrepancy(x, x).item() == 0
    shifted = central_moment_discrepancy(x, x + 0.5).item()  # the means alone
    assert shifted == pytest.approx(math.sqrt(3) / 2)


def test_the_difference_loss_is_zero_for_orthogonal_inputs_only():
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    x, y = torch.zeros(4, 6), torch.zeros(4, 6)
    x[:, 0], y[:, 3] = signs[:, 0], signs[:, 1]
    assert difference_loss(x, y).item() == pytest.approx(0, abs=1e-12)
    assert difference_loss(x + 5, y - 2).item() == pytest.approx(0, abs=1e-9)  # centred first
    # One cell of the 6 x 6 of x.T @ x is 4, and the others are 0.
    assert difference_loss(x, x).item() == pytest.approx(16 / 36, rel=1e-5)


def test_the_gradient_of_the_difference_loss_takes_the_lengths_for_constants():
    x, y = (torch.rand(7, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    difference_loss(x, y).backward()
    with torch.no_grad():
        centred = [z - z.mean(0) for z in (x, y)]
        lengths = [z.square().sum(1, keepdim=True).sqrt() + 1e-6 for z in centred]
        a, b = (z / length for z, length in zip(centred, lengths, strict=True))
        product = a.T @ b
        gradients = 2 * b @ product.T / 16, 2 * a @ product / 16  # of the mean of 4 x 4 squares
        for z, gradient, length in zip((x, y), gradients, lengths, strict=True):
            expected = gradient / length
            torch.testing.assert_close(z.grad, expected - expected.mean(0), rtol=1e-10, atol=1e-14)


def test_a_row_of_no_length_has_a_finite_gradient():
    signs = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert difference_loss(1e-6 * signs, signs).item() == pytest.approx(0.25, rel=1e-5)
    one = torch.rand(1, 5, requires_grad=True)  # its centred row is 0
    difference_loss(one, one).backward()
    assert not one.grad.any()


def test_the_reading_backwards_begins_at_the_last_word(batch):
    """Padding in front, whose length differs from utterance to utterance, changes no state."""
    set_seed(0)
    encoder = BidirectionalEncoder(300, 16).eval()
    text, padding = batch[1], padding_mask(*batch)
    packed = encoder(text, padding)
    for i in range(4):
        only = text[i : i + 1, ~padding[i]]
        _, (hidden, _) = encoder.lstm(only)
        expected = encoder.project(torch.cat([hidden[0], hidden[1]], dim=1))
        torch.testing.assert_close(packed[i : i + 1], expected, atol=1e-5, rtol=0)


def test_the_loss_of_misa_is_the_sum_of_its_parts(batch, labels):
    set_seed(0)
    model = MISA(dropout=0.0)
    output = model(*batch).squeeze(-1)
    u, private, shared = model.parts
    p, s = ([x[name] for name in ('vision', 'text', 'audio')] for x in (private, shared))
    pairs = [(0, 1), (0, 2), (1, 2)]
    difference = sum(difference_loss(p[i], s[i]) for i in range(3))
    difference += sum(difference_loss(p[i], p[j]) for i, j in pairs)
    similarity = sum(central_moment_discrepancy(s[i], s[j]) for i, j in pairs) / 3
    errors = [model.decoders[name](private[name] + shared[name]) - u[name] for name in u]
    reconstruction = sum(error.square().mean() for error in errors) / 3
    task = (output - labels).square().mean()
    expected = task + 0.3 * difference + 1.0 * similarity + 1.0 * reconstruction
    torch.testing.assert_close(model.criterion()(output, labels), expected)
    torch.testing.assert_close(model.criterion()(output, labels), expected)  # any number of times
    assert {x.shape for x in (*p, *s)} == {(16, 128)}


# AMP


@pytest.mark.parametrize('spread', [0.0, 1e-4, 1.0, 100.0])
def test_the_mask_sums_to_k_and_never_touches_padding(spread):
    set_seed(0)
    scores = (spread * torch.randn(6, 40)).requires_grad_()
    padding = torch.arange(40) < torch.tensor([[0], [10], [20], [30], [37], [39]])
    k = 0.4 * (~padding).sum(1)
    mask = soft_top_k(scores, padding, k)
    torch.testing.assert_close(mask.sum(1), k, atol=1e-3, rtol=0)
    assert (mask[padding] == 0).all()
    assert mask.min() >= 0
    assert mask.max() <= 1 + 1e-3
    mask.square().sum().backward()
    assert scores.grad.isfinite().all()
    assert (scores.grad[padding] == 0).all()


def test_the_mask_takes_the_highest_scores():
    scores = torch.tensor([[9.0, 5.0, 1.0, 4.0, 0.0, 3.0]])
    padding = torch.tensor([[True, False, False, False, False, False]])
    mask = soft_top_k(scores, padding, torch.tensor([2.0]), 0.02, iterations=100)
    torch.testing.assert_close(
        mask, torch.tensor([[0.0, 1, 0, 1, 0, 0]]), atol=0.05, rtol=0
    )  # 5 and 4, and not the 9 that is padding


def test_the_mask_rises_with_its_own_score():
    scores = torch.randn(1, 8, dtype=torch.float64).requires_grad_()
    padding = torch.zeros(1, 8, dtype=torch.bool)
    order = scores.argsort()[0, 3]  # neither the lowest nor the highest: they set the scale
    mask = soft_top_k(scores, padding, torch.tensor([3.0], dtype=torch.float64))
    mask[0, order].backward()
    assert scores.grad[0, order] > 0


def test_the_gradient_is_reversed_and_scaled():
    x = torch.randn(5, requires_grad=True)
    y = ReverseGradient.apply(x, 0.1)
    assert torch.equal(x, y)
    (3 * y).sum().backward()
    torch.testing.assert_close(x.grad, torch.full((5,), -0.3))


@pytest.fixture
def amp(batch):
    """An AMP without dropout that has just read the batch, and what it kept for its loss."""
    set_seed(0)
    model = AMP(dropout=0.0)
    model(*batch)
    return model, *model.parts


def scores_of_visible_steps(model, batch, hidden):
    """The scores of a forward pass in which the projected steps are multiplied by 1 - hidden."""
    hooks = [
        project.register_forward_hook(lambda _, args, x, h=h: x * (1 - h).unsqueeze(-1))
        for project, h in zip(model.inputs, hidden, strict=True)
    ]
    scores = model(*batch)
    for hook in hooks:
        hook.remove()
    return scores


def test_the_masked_pass_encodes_again_what_is_left(amp, batch):
    model, steps, _, padding, output = amp
    hidden = [(torch.rand(padding.shape) < 0.4) * ~padding for _ in range(3)]
    hidden = [h.float() for h in hidden]
    masked = model.masked_output(steps, hidden, padding)
    torch.testing.assert_close(masked, scores_of_visible_steps(model, batch, hidden))
    nothing = [torch.zeros_like(h) for h in hidden]
    torch.testing.assert_close(model.masked_output(steps, nothing, padding), output)


def test_what_is_hidden_is_a_share_of_the_true_steps_of_each_modality(amp):
    model, _, encoded, padding, _ = amp
    hidden = model.hidden_steps(encoded, padding)
    assert len(hidden) == 3
    assert padding.any()
    for h in hidden:
        torch.testing.assert_close(h.sum(1), 0.4 * (~padding).sum(1), atol=1e-2, rtol=0)
        assert (h[padding] == 0).all()


def test_scorers_and_encoders_get_a_tenth_of_the_reversed_gradient(amp, labels, monkeypatch):
    model, steps, encoded, padding, _ = amp
    steps = [x.detach() for x in steps]
    encoded = [x.detach().requires_grad_() for x in encoded]
    inputs = [*encoded, *model.scorers.parameters()]

    def gradients():
        masked = model.masked_output(steps, model.hidden_steps(encoded, padding), padding)
        loss = nn.functional.mse_loss(masked.squeeze(-1), labels)
        return torch.autograd.grad(loss, inputs)

    reversed_ = gradients()
    monkeypatch.setattr(ReverseGradient, 'apply', lambda x, scale: x)
    for gradient, plain in zip(reversed_, gradients(), strict=True):
        assert plain.any()
        torch.testing.assert_close(gradient, -0.1 * plain)


def test_the_loss_of_amp_is_the_sum_of_its_parts(amp, batch, labels):
    model, _, encoded, padding, output = amp
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = model.criterion()(output.squeeze(-1), labels)
    loss.backward(retain_graph=True)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    hidden = model.hidden_steps(encoded, padding)
    masked = scores_of_visible_steps(model, batch, hidden).squeeze(-1)
    task = (model(*batch).squeeze(-1) - labels).square().mean()
    first = task + 0.1 * (masked - labels).square().mean()
    gradients = torch.autograd.grad(first, list(model.joint.parameters()))
    del model.parts  # tensors with a history cannot be copied
    moved = deepcopy(model)
    with torch.no_grad():
        for parameter, gradient in zip(moved.joint.parameters(), gradients, strict=True):
            parameter += gradient / gradient.norm()
        consistency = (moved(*batch) - output).square().mean()
    assert consistency > 1e-4
    torch.testing.assert_close(loss, first + 1.0 * consistency)


def test_the_scores_without_perturbation_are_the_target_of_those_with_it(amp, labels):
    """The consistency term sends no gradient into the scores that it is compared with."""
    model, *_, output = amp
    loss = model.training_loss(torch.tensor(0.0) * output.sum(), labels)
    gradient = torch.autograd.grad(loss, output, allow_unused=True)[0]
    assert gradient is None or not gradient.any()
