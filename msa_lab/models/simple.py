"""The constant, ridge and support vector regression: what a deep model must beat.

The regressions see averages over time and no order of words; all three cost seconds and have no
seed. They are scikit-learn's.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from msa_lab.data import LABEL_RANGE, MODALITIES, Split, load_split, padding_mask
from msa_lab.models.padding import masked_mean

# Each model with every penalty that is tried; on standardised features they fit any file.
CANDIDATES = {
    'constant': [DummyRegressor()],  # the mean of the training labels
    'ridge': [Ridge(penalty) for penalty in (10, 30, 100, 300, 1000, 3000, 10_000)],
    'SVR': [SVR(C=C) for C in (0.03, 0.1, 0.3, 1, 3, 10)],
}


def averaged_features(data: Split) -> np.ndarray:
    """The features of N utterances averaged over their true steps: float32 (N, 35 + 300 + 74)."""
    features = [torch.tensor(getattr(data, name)) for name in MODALITIES]
    padding = padding_mask(*features)
    return torch.cat([masked_mean(x, padding) for x in features], dim=1).numpy()


def fit_simple(name: str, train: Split, valid: Split) -> Pipeline:
    """The 'constant', 'ridge' or 'SVR', fitted with the penalty that validates best.

    The features are standardised by the training split. Best is the highest correlation on the
    validation split, as for the epochs of a deep model; an undefined one ranks below every other.
    """
    x_train, x_valid = averaged_features(train), averaged_features(valid)
    fitted = [
        make_pipeline(StandardScaler(), clone(model)).fit(x_train, train.labels)
        for model in CANDIDATES[name]
    ]
    return max(fitted, key=lambda model: _rank(model.predict(x_valid), valid.labels))


def simple_results(
    data_path: str | Path, score: Callable[..., dict], seeds: Sequence[int]
) -> pd.DataFrame:
    """The three models fitted and validated: a table with the columns of `run_study`, to be joined.

    `score(y_pred, y_true)` returns the metrics of two float tensors (N,). The models draw nothing
    at random, so the rows of all `seeds` say the same.
    """
    return _score_on(data_path, 'valid', score, seeds)


def simple_results_on_test(
    data_path: str | Path, score: Callable[..., dict], seeds: Sequence[int]
) -> pd.DataFrame:
    """The same on the test split: a table with the columns of `evaluate_chosen`.

    To be called after everything that is to be chosen has been chosen.
    """
    return _score_on(data_path, 'test', score, seeds)


def _score_on(data_path, split, score, seeds):
    """The models fitted on training and validation splits, scored on one split."""
    train, valid = load_split(data_path, 'train'), load_split(data_path, 'valid')
    data = load_split(data_path, split)
    rows = []
    for name in CANDIDATES:
        start = time.perf_counter()
        model = fit_simple(name, train, valid)
        y_pred = model.predict(averaged_features(data)).clip(*LABEL_RANGE)
        metrics = score(torch.from_numpy(y_pred), torch.tensor(data.labels))
        row = {
            'experiment': name,
            'best_epoch': 0,
            **{f'{split}_{metric}': value for metric, value in metrics.items()},
            'parameters': _count(model[-1]),
            'seconds': time.perf_counter() - start,
            'run': '',
            'error': '',
            'video': np.array(data.videos),
            'y_true': data.labels.astype(float),
            'y_pred': y_pred.astype(float),
        }
        rows += [row | {'seed': seed} for seed in seeds]
    return pd.DataFrame(rows)


def _rank(y_pred, y_true):
    """The correlation, or -inf where it is undefined."""
    if np.ptp(y_pred) == 0 or np.ptp(y_true) == 0:
        return -np.inf
    return np.corrcoef(y_pred, y_true)[0, 1]


def _count(model):
    """How many numbers were fitted: a mean, coefficients, or weights of the support vectors."""
    if isinstance(model, DummyRegressor):
        return model.constant_.size
    return (model.dual_coef_ if isinstance(model, SVR) else model.coef_).size + 1
