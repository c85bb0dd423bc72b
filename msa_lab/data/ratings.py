"""How well people agree: what one more rater would score, and what the noise of a label costs.

`ratings` (N, R) are those of a `Split`: the scores that N sentences got, in random order, nan
behind the last one. The mean of the first five is the label; the others had no part in it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from msa_lab.data.format import LABEL_RATERS
from msa_lab.data.mosi_file import load_split


def human_rows(
    ratings: np.ndarray, score: Callable[..., dict], resamples: int = 300, seed: int = 0
) -> pd.DataFrame:
    """The scores of people, and of a predictor that cannot be beaten, against the labels.

    one more rater     the first rater outside the label
    nine more raters   the mean of the first nine outside the label
    all other raters   the mean of all that are outside the label
    perfect predictor  the mean of all raters of a sentence, against the mean of five drawn from
                       them with replacement: what is left is the noise of a label of five

    `score(y_pred, y_true)` returns the metrics of two float tensors (N,). Columns: (metric, part),
    where `mean` is the score and `low` and `high` its 95% interval, by bootstrap over sentences.
    """
    rng = np.random.default_rng(seed)
    label, others = ratings[:, :LABEL_RATERS].mean(axis=1), ratings[:, LABEL_RATERS:]
    pairs = {
        'one more rater': (others[:, 0], label),
        'nine more raters': (others[:, :9].mean(axis=1), label),
        'all other raters': (np.nanmean(others, axis=1), label),
        'perfect predictor': (np.nanmean(ratings, axis=1), draw_labels(ratings, rng)),
    }
    rows = {}
    for name, pair in pairs.items():
        y_pred, y_true = (torch.tensor(x, dtype=torch.float32) for x in pair)
        draws = torch.from_numpy(rng.integers(len(label), size=(resamples, len(label))))
        resampled = pd.DataFrame([score(y_pred[drawn], y_true[drawn]) for drawn in draws])
        row = rows[name] = {}
        for metric, value in score(y_pred, y_true).items():
            row[metric, 'mean'] = value
            row[metric, 'low'], row[metric, 'high'] = np.nanquantile(
                resampled[metric], (0.025, 0.975)
            )
    return pd.DataFrame.from_dict(rows, orient='index')


def human_rows_on_test(path: str | Path, score: Callable[..., dict]) -> pd.DataFrame | None:
    """`human_rows` on the test split of the data file at `path`; None without ratings.

    To be called after everything that is to be chosen has been chosen.
    """
    ratings = load_split(path, 'test').ratings
    return None if ratings is None else human_rows(ratings, score)


def draw_labels(ratings: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """New labels (N,): the mean of five of its raters for each sentence, drawn with replacement."""
    count = np.isfinite(ratings).sum(axis=1)
    chosen = rng.integers(count[:, None], size=(len(ratings), LABEL_RATERS))
    return np.take_along_axis(ratings, chosen, axis=1).mean(axis=1)
