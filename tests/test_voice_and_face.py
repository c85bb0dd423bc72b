"""`msa_lab.data.voice_and_face`: what is put into the simulated features, and nothing else."""

import numpy as np
import pytest

from msa_lab.data.voice_and_face import (
    SENTIMENT_SCALE,
    Strengths,
    add_bad_points,
    draw_features,
    unit_rows,
)

N = 300
SENTIMENT = np.linspace(-3, 3, N)
VIDEO = np.arange(N) % 6  # six speakers, each with every sentiment
LENGTHS = 1 + np.arange(N) % 50


def draw(modality='audio', *, seed=0, structure=0, sentiment=SENTIMENT, marks=0.0, **strengths):
    """`draw_features` for the utterances above."""
    return draw_features(
        modality, sentiment, VIDEO, LENGTHS, marks, Strengths(**strengths),
        np.random.default_rng(structure), np.random.default_rng([seed, 1]),
    )  # fmt: skip


@pytest.mark.parametrize(('modality', 'width'), [('vision', 35), ('audio', 74)])
def test_shape_padding_and_a_voice_in_every_step(modality, width):
    features, shown = draw(modality)
    assert features.shape == (N, 50, width)
    assert features.dtype == np.float32
    assert shown.shape == (N,)
    true = np.arange(50) >= 50 - LENGTHS[:, None]
    assert not features[~true].any()
    missing = ~features.any(-1) & true
    if modality == 'audio':
        assert not missing.any()
    else:
        whole = ~features.any((1, 2))
        assert 0.01 <= whole[LENGTHS > 5].mean() <= 0.06
        assert 0.02 <= missing[~whole].sum() / true[~whole].sum() <= 0.04


def test_the_sentiment_that_is_shown_has_the_noise_that_was_asked_for():
    _, clean = draw(affect_noise=0.0)
    np.testing.assert_allclose(clean, SENTIMENT / SENTIMENT_SCALE)
    _, noisy = draw(affect_noise=3.0)
    assert 2.7 < (noisy - clean).std() < 3.3


def last_steps(**settings):
    return draw(**settings)[0][:, -1].astype(float)


def test_what_affect_adds_is_the_sentiment_shown_in_one_direction():
    _, shown = draw(affect_noise=1.0)
    added = last_steps(affect=1.0, affect_noise=1.0) - last_steps(affect=0.0, affect_noise=1.0)
    direction = added[0] / shown[0]
    np.testing.assert_allclose(added, np.outer(shown, direction), atol=1e-4)
    assert np.abs(direction).min() > 0


def test_without_affect_nothing_depends_on_the_sentiment():
    np.testing.assert_array_equal(draw(affect=0.0)[0], draw(affect=0.0, sentiment=-SENTIMENT)[0])


def test_what_speaker_adds_is_the_same_for_all_utterances_of_a_video():
    added = last_steps(speaker=1.0) - last_steps(speaker=0.0)
    first = added[:6]
    np.testing.assert_allclose(added, first[VIDEO], atol=1e-4)
    distance = np.linalg.norm(first[:, None] - first[None], axis=-1)
    assert distance[~np.eye(6, dtype=bool)].min() > 1


def test_a_mark_is_added_to_the_utterances_that_have_it():
    marks = np.where(np.arange(N) % 10 == 3, 2.0, 0.0)
    added = last_steps(marks=marks) - last_steps()
    assert (added.any(1) == (marks > 0)).all()
    np.testing.assert_allclose(added[marks > 0], added[[3] * 30], atol=1e-4)
    np.testing.assert_allclose(last_steps(marks=2.0)[marks > 0], last_steps(marks=marks)[marks > 0])


def test_splits_share_their_structure_and_not_their_speakers():
    """The same direction shows the sentiment in all splits; the people and the noise are others."""
    directions, speakers = [], []
    for seed in (0, 1):
        strong, weak = (last_steps(seed=seed, affect=a, affect_noise=0.0) for a in (1.0, 0.0))
        directions.append((strong - weak)[0])
        speakers.append((last_steps(seed=seed, speaker=1.0) - last_steps(seed=seed, speaker=0))[0])
    np.testing.assert_allclose(*directions, atol=1e-4)
    assert np.abs(np.corrcoef(*speakers)[0, 1]) < 0.9
    other = last_steps(structure=1, affect=1.0, affect_noise=0.0) - last_steps(
        structure=1, affect=0.0, affect_noise=0.0
    )
    assert np.abs(np.corrcoef(directions[0], other[0])[0, 1]) < 0.5


def test_the_same_generators_give_the_same_features():
    for first, second in zip(draw(), draw(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(draw()[0], draw(seed=1)[0])


def test_bad_points_are_in_true_steps_and_of_both_signs():
    audio = np.zeros((N, 50, 74), np.float32)
    add_bad_points(audio, LENGTHS, np.random.default_rng(0))
    row, step, column = np.nonzero(audio)
    assert 45 <= len(row) <= 50
    assert (step >= 50 - LENGTHS[row]).all()
    assert set(audio[row, step, column]) == {np.inf, -np.inf}
    assert len(set(column)) > 20


def test_rows_are_scaled_to_length_1_and_zeros_stay():
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]]))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]])
