"""The six metrics against formulas written independently, and where they are undefined."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from msa_lab.data import METRICS
from msa_utils import eval_mosi_regression, multiclass_acc

SCORES = st.floats(-4, 4, width=32)
PAIRS = st.lists(st.tuples(SCORES, st.integers(-15, 15).map(lambda n: n / 5)), min_size=1)


def half_even(x):
    """Python's own rounding of an exact fraction: halves to even."""
    return round(Fraction(x))


def clip(x, limit):
    return max(-limit, min(limit, x))


def plain_metrics(pred, true):
    """The definitions of the contract in plain Python."""
    n = len(true)
    result = {}
    nonzero = [(p > 0, t > 0) for p, t in zip(pred, true, strict=True) if t != 0]
    if nonzero:
        result['Non0_acc_2'] = sum(p == t for p, t in nonzero) / len(nonzero)
        f1 = 0.0
        for side in (True, False):  # weights: how often a class is predicted
            hits = sum(p == t == side for p, t in nonzero)
            predicted = sum(p == side for p, _ in nonzero)
            actual = sum(t == side for _, t in nonzero)
            if predicted:
                f1 += predicted / len(nonzero) * 2 * hits / (predicted + actual)
        result['Non0_F1_score'] = f1
    else:
        result['Non0_acc_2'] = result['Non0_F1_score'] = math.nan
    for classes, limit in ((5, 2), (7, 3)):
        hits = sum(
            half_even(clip(p, limit)) == half_even(clip(t, limit))
            for p, t in zip(pred, true, strict=True)
        )
        result[f'Mult_acc_{classes}'] = hits / n
    result['MAE'] = sum(abs(p - t) for p, t in zip(pred, true, strict=True)) / n
    if len(set(pred)) == 1 or len(set(true)) == 1:
        result['Corr'] = math.nan
    else:
        p, t = [Fraction(x) for x in pred], [Fraction(x) for x in true]
        mp, mt = sum(p) / n, sum(t) / n
        covariance = sum((a - mp) * (b - mt) for a, b in zip(p, t, strict=True))
        variances = sum((a - mp) ** 2 for a in p), sum((b - mt) ** 2 for b in t)
        result['Corr'] = float(covariance) / math.sqrt(variances[0]) / math.sqrt(variances[1])
    return result


@given(PAIRS)
def test_metrics_equal_the_definitions(pairs):
    pred, true = (torch.tensor(column) for column in zip(*pairs, strict=True))
    metrics = eval_mosi_regression(pred, true)
    expected = plain_metrics(pred.tolist(), true.tolist())
    assert tuple(metrics) == METRICS
    spread = pred.max() - pred.min()
    for name, value in metrics.items():
        if name == 'Corr' and 0 < spread < 1e-5:
            continue  # float64 cannot resolve the correlation of almost equal predictions
        assert value == pytest.approx(expected[name], abs=6e-5, nan_ok=True), name


def test_keys_order_types_and_rounding():
    generator = torch.Generator().manual_seed(0)
    metrics = eval_mosi_regression(
        torch.randn(37, generator=generator), torch.randn(37, generator=generator)
    )
    assert list(metrics) == [
        'Non0_acc_2', 'Non0_F1_score', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr',
    ]  # fmt: skip
    for value in metrics.values():
        assert type(value) is float
        assert value == round(value, 4)


def test_any_shape_and_device(device):
    pred = torch.tensor([0.4, -1.2, 2.2, 0.1])
    true = torch.tensor([1.0, -2.0, 3.0, 0.0])
    expected = eval_mosi_regression(pred, true)
    shapes = [(4, 1), (2, 2), (1, 4, 1)]
    for shape in shapes:
        got = eval_mosi_regression(pred.reshape(shape).to(device), true.to(device))
        assert got == expected
    assert eval_mosi_regression(pred.clone().requires_grad_(), true) == expected


def test_exclude_zero_has_no_effect():
    pred, true = torch.tensor([0.4, -1.2, 0.3]), torch.tensor([1.0, -2.0, 0.0])
    assert eval_mosi_regression(pred, true, exclude_zero=True) == eval_mosi_regression(pred, true)


def test_f1_takes_predictions_first():
    """Predictions + + + -, truth + + - -: 0.7667 with predictions first, 0.7333 as MMSA has it."""
    pred, true = torch.tensor([1.0, 1.0, 1.0, -1.0]), torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert eval_mosi_regression(pred, true)['Non0_F1_score'] == 0.7667
    assert eval_mosi_regression(true, pred)['Non0_F1_score'] == 0.7333


def test_a_prediction_of_exactly_zero_counts_as_negative():
    metrics = eval_mosi_regression(torch.tensor([0.0, 0.0]), torch.tensor([-1.0, 2.0]))
    assert metrics['Non0_acc_2'] == 0.5


@pytest.mark.parametrize('value', [0.0, 0.1, -2.7])
def test_constant_predictions_have_no_correlation(value):
    metrics = eval_mosi_regression(torch.full((7,), value), torch.arange(7) - 3.0)
    assert math.isnan(metrics['Corr'])
    assert not any(math.isnan(metrics[name]) for name in METRICS[:-1])


def test_all_labels_zero():
    metrics = eval_mosi_regression(torch.tensor([0.2, -0.4]), torch.zeros(2))
    assert math.isnan(metrics['Non0_acc_2'])
    assert math.isnan(metrics['Non0_F1_score'])
    assert math.isnan(metrics['Corr'])
    assert metrics['Mult_acc_7'] == 1.0


def test_one_utterance():
    assert eval_mosi_regression(torch.tensor([1.2]), torch.tensor([1.0]))['Mult_acc_7'] == 1.0


@pytest.mark.parametrize('bad', [[math.nan, 1.0], [math.inf, 1.0], [math.inf, math.inf]])
def test_predictions_that_are_not_finite_give_nan_and_no_warning(bad):
    metrics = eval_mosi_regression(torch.tensor(bad), torch.tensor([1.0, -1.0]))
    assert math.isnan(metrics['Corr'])


@pytest.mark.parametrize(('n_pred', 'n_true'), [(3, 4), (0, 0)])
def test_unequal_or_empty_input_is_refused(n_pred, n_true):
    with pytest.raises(ValueError, match=f'{n_pred} predictions for {n_true} labels'):
        eval_mosi_regression(torch.zeros(n_pred), torch.zeros(n_true))


def test_multiclass_acc_rounds_halves_to_even():
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5])
    assert multiclass_acc(halves, np.array([0, 2, 2, 0, -2])) == 1.0
    assert multiclass_acc(halves, np.array([1, 2, 3, -1, -2])) == 0.4
    assert type(multiclass_acc(halves, halves)) is float
