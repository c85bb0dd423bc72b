"""`msa_lab.data.ratings`: how well people agree, on ratings whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from msa_lab.data.format import LABEL_RATERS
from msa_lab.data.ratings import draw_labels, human_rows
from msa_lab.data.reviews import ARCHIVE, read_source
from msa_lab.data.reviews.build import draw_ratings
from msa_utils import eval_mosi_regression

SOURCE = Path(__file__).parent.parent / ARCHIVE


def quick_score(y_pred, y_true):
    """Two of the six metrics, in a fraction of the time."""
    corr = torch.corrcoef(torch.stack([y_pred, y_true]))[0, 1]
    return {'MAE': (y_pred - y_true).abs().mean().item(), 'Corr': corr.item()}


def make_ratings(noise, count=200, seed=0):
    """The scores of 14 to 20 raters for each sentence, who are off by `noise`, nan behind them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-3, 4, size=(count, 1))
    ratings = np.clip(np.rint(truth + noise * rng.normal(size=(count, 20))), -3, 3)
    ratings[np.arange(20) >= rng.integers(14, 21, size=(count, 1))] = np.nan
    return ratings.astype(np.float32)


def test_raters_who_always_agree_cannot_be_told_apart_from_the_label():
    rows = human_rows(make_ratings(noise=0.0), eval_mosi_regression, resamples=5)
    assert list(rows.index) == [
        *('one more rater', 'nine more raters', 'all other raters', 'perfect predictor')
    ]
    for part in ('mean', 'low', 'high'):
        assert (rows['Corr', part] == 1).all()
        assert (rows['MAE', part] == 0).all()
        assert (rows['Mult_acc_7', part] == 1).all()


def test_a_rater_who_is_off_by_one_has_that_mean_error():
    ratings = make_ratings(noise=0.0)
    ratings[:, LABEL_RATERS] += np.where(ratings[:, LABEL_RATERS] > 0, -1, 1)
    rows = human_rows(ratings, eval_mosi_regression, resamples=5)
    assert rows.loc['one more rater', ('MAE', 'mean')] == 1
    assert rows.loc['nine more raters', ('MAE', 'mean')] == pytest.approx(1 / 9, abs=1e-3)
    assert 0 < rows.loc['all other raters', ('MAE', 'mean')] < 1 / 8


def test_the_raters_of_the_label_are_in_no_row_of_people():
    """Five who agree with nobody: the label is theirs, and so no other row comes near it."""
    ratings = make_ratings(noise=0.5, count=1000)
    ratings[:, :LABEL_RATERS] = np.random.default_rng(1).integers(-3, 4, size=(1000, 5))
    rows = human_rows(ratings, eval_mosi_regression, resamples=5)
    assert (rows.loc['one more rater':'all other raters', ('Corr', 'mean')].abs() < 0.1).all()


def test_more_raters_are_nearer_and_each_mean_lies_in_its_interval():
    rows = human_rows(make_ratings(noise=1.0), quick_score)
    corr = rows['Corr', 'mean']
    assert corr['one more rater'] < corr['nine more raters'] <= corr['all other raters'] + 0.02
    for metric in rows.columns.levels[0]:
        low, mean, high = (rows[metric, part] for part in ('low', 'mean', 'high'))
        assert (low < mean).all()
        assert (mean < high).all()
        assert (high - low < 0.4).all()


def test_the_interval_is_narrower_with_more_sentences():
    width = {}
    for count in (100, 1600):
        rows = human_rows(make_ratings(1.0, count), quick_score)
        width[count] = rows['MAE', 'high'] - rows['MAE', 'low']
    assert (width[1600] < 0.4 * width[100]).all()


def test_the_same_seed_gives_the_same_rows():
    ratings = make_ratings(1.0)
    first, again, other = (
        human_rows(ratings, quick_score, resamples=20, seed=s) for s in (0, 0, 1)
    )
    assert first.equals(again)
    assert not first.equals(other)


def test_a_new_label_is_the_mean_of_five_of_the_raters_that_there_are():
    ratings = np.full((500, 6), np.nan, np.float32)
    ratings[:, 0], ratings[:250, 1] = 2, -1
    labels = draw_labels(ratings, np.random.default_rng(0))
    assert (labels[250:] == 2).all()
    share = (labels[:250] + 1) / 3  # of the draws that took the first rater
    assert set(np.rint(5 * share)) == {0, 1, 2, 3, 4, 5}
    np.testing.assert_allclose(5 * share, np.rint(5 * share), atol=1e-5)
    assert share.mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.skipif(not SOURCE.is_file(), reason='needs the source of the stand-in')
def test_the_human_row_of_the_real_raters_is_the_published_one():
    """The figures of the lab's description, measured over all sentences."""
    ratings = draw_ratings(read_source(SOURCE).snippets, np.random.default_rng(0))
    labels = ratings[:, :LABEL_RATERS].mean(axis=1)
    assert labels.mean() == pytest.approx(0.02, abs=0.01)
    assert labels.std() == pytest.approx(1.63, abs=0.01)
    assert np.mean(labels == 0) == pytest.approx(0.013, abs=0.003)
    rows = human_rows(ratings, eval_mosi_regression, resamples=2)
    one = rows.xs('mean', axis=1, level=1).loc['one more rater']
    expected = dict(Non0_acc_2=0.923, Mult_acc_5=0.602, Mult_acc_7=0.554, MAE=0.601, Corr=0.873)
    for metric, value in expected.items():
        assert one[metric] == pytest.approx(value, abs=0.01), metric
    assert rows.loc['nine more raters', ('Corr', 'mean')] == pytest.approx(0.967, abs=0.01)
