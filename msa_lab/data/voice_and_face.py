"""Simulated features of voice and face, which both stand-ins have in place of recordings.

They say little about the sentiment and differ strongly from speaker to speaker, as those of
CMU-MOSI do. Whatever a model finds in them was put into them here.
"""

from dataclasses import dataclass

import numpy as np

from msa_lab.data.format import STEPS, WIDTHS

SENTIMENT_SCALE = 1.6  # nearly the standard deviation of the sentiment of the utterances
BAD_POINTS = 50  # cells of the training audio that are +-inf, a few of them perhaps drawn twice


@dataclass(frozen=True)
class Strengths:
    """How strongly voice and face show what. The settings of both stand-ins begin with these."""

    speaker: float = 1.0  # an offset that all utterances of a video share
    affect: float = 0.5  # the sentiment of the utterance
    affect_noise: float = 3.3  # noise in that sentiment, for a sentiment of unit variance


def draw_features(
    modality: str,
    sentiment: np.ndarray,
    video: np.ndarray,
    lengths: np.ndarray,
    marks: np.ndarray | float,
    strengths: Strengths,
    structure: np.random.Generator,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Features of the face (`modality` is 'vision') or the voice ('audio') of N utterances.

    `sentiment` (N,) is on the scale of the labels, `video` (N,) the number of the video, `lengths`
    (N,) the number of steps that are not padding. `marks` (N,), or one number for all, is the
    strength of a mark on the utterance, a direction of its own in the space of the features.
    `structure` draws what all splits share (how the features are scaled, which direction shows the
    sentiment), `rng` what belongs to this split. The face is missing in some steps and in some
    whole utterances.

    Returns the features, float32 (N, 50, width), padded at the front, and the sentiment that they
    show, noise included, (N,).
    """
    width, n = WIDTHS[modality], len(sentiment)
    offsets = unit_rows(structure.normal(size=(8, width)))
    direction, mark = unit_rows(structure.normal(size=(2, width))) * np.sqrt(width)
    scales = np.exp(structure.normal(0, 0.5, width))
    centre = structure.normal(0, 0.5, width)

    speaker = rng.normal(size=(video.max() + 1, 8)) @ offsets * np.sqrt(width / 8)
    affect = sentiment / SENTIMENT_SCALE + strengths.affect_noise * rng.normal(size=n)
    utterance = strengths.speaker * speaker[video]
    utterance += strengths.affect * affect[:, None] * direction
    utterance += np.broadcast_to(marks, n)[:, None] * mark
    noise = rng.standard_t(4, size=(n, STEPS + 2, width))
    noise = (noise[:, 2:] + noise[:, 1:-1] + noise[:, :-2]) / np.sqrt(3)
    features = (centre + utterance[:, None] + noise) * scales

    features[np.arange(STEPS) < STEPS - lengths[:, None]] = 0
    if modality == 'vision':  # the face tracker loses some frames and some utterances
        features[(rng.random((n, STEPS)) < 0.03) | (rng.random((n, 1)) < 0.03)] = 0
    return features.astype(np.float32), affect


def add_bad_points(audio: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> None:
    """Set `BAD_POINTS` true cells of (N, 50, width) to +inf or -inf, in place.

    Real voice trackers divide by zero now and then. `lengths` (N,) is as in `draw_features`.
    """
    row = rng.integers(len(audio), size=BAD_POINTS)
    step = rng.integers(1, lengths[row] + 1)
    value = rng.choice((-np.inf, np.inf), BAD_POINTS)
    audio[row, -step, rng.integers(audio.shape[2], size=BAD_POINTS)] = value


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """The rows (N, D) scaled to length 1; a row of zeros stays."""
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
