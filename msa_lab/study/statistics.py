"""Means and spread over seeds, and the difference from a baseline: for another seed, other people.

Two intervals answer two questions. Would the difference be there with other seeds? Student's t over
the seeds, paired. Would it be there with other speakers? The bootstrap: whole videos are drawn with
replacement, and the difference, averaged over the seeds, is computed again for each draw.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 2000
RESAMPLED = ('Corr', 'MAE')  # what the predictions alone give, without the lab's code
PARTS = ('mean', 'sd', 'diff', 'low', 'high', 'people_low', 'people_high')


def summarize(results: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Mean, spread and paired difference from the baseline: a row for every experiment.

    `results` is a table of `run_study` or `evaluate_chosen`, `baseline` the name of one of its
    experiments. Columns: `seeds` (number of runs that did not fail), and (metric, part) for every
    metric of `results`. The parts are `mean` and `sd` (over seeds, n - 1), `diff` (the difference
    from `baseline` at the same seed, averaged over seeds), `low` and `high` (the 95% interval of
    that average over seeds, by Student's t), `people_low` and `people_high` (its 95% interval over
    speakers, by bootstrap over whole videos; for `Corr` and `MAE`, else nan). With one seed `sd`,
    `low` and `high` are nan; with one video, or without predictions, the interval over speakers is.

    Raises ValueError when the results have no experiment of the name `baseline`.
    """
    if baseline not in set(results['experiment']):
        raise ValueError(f'no experiment {baseline!r} in the results')
    finished = results[results['error'] == '']
    metrics = [c for c in results if c.startswith(('valid_', 'test_'))]
    reference = finished[finished['experiment'] == baseline].set_index('seed')
    resampled = _Resampled(finished)
    table = {}
    for name in results['experiment'].unique():
        runs = finished[finished['experiment'] == name].set_index('seed')
        row = table[name] = {('seeds', ''): len(runs)}
        for metric in metrics:
            differences = (runs[metric] - reference[metric]).dropna()
            pairs = [(runs.loc[seed], reference.loc[seed]) for seed in differences.index]
            seeds = _interval_over_seeds(differences)
            people = resampled.interval(pairs, metric.partition('_')[2])
            values = (runs[metric].mean(), runs[metric].std(), differences.mean(), *seeds, *people)
            row |= {(metric, part): value for part, value in zip(PARTS, values, strict=True)}
    summary = pd.DataFrame.from_dict(table, orient='index')
    summary.columns = pd.MultiIndex.from_tuples(summary.columns)
    return summary


def join(*tables: pd.DataFrame) -> pd.DataFrame:
    """One table of several of the same split; of equal (experiment, seed) the first row counts."""
    together = pd.concat(tables, ignore_index=True)
    return together.drop_duplicates(['experiment', 'seed'], ignore_index=True)


def _interval_over_seeds(values):
    """The 95% interval of a mean, by Student's t; nan for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half


class _Resampled:
    """The metrics of runs on samples of the videos, the same samples for every run."""

    def __init__(self, finished):
        self.weights, self.cache = None, {}
        if (
            'video' not in finished
            or finished.empty
            or not isinstance(finished['video'].iloc[0], np.ndarray)
        ):
            return
        videos, video = np.unique(finished['video'].iloc[0], return_inverse=True)
        if len(videos) < 2:
            return
        drawn = np.random.default_rng(0).integers(len(videos), size=(RESAMPLES, len(videos)))
        times = (drawn[:, :, None] == np.arange(len(videos))).sum(axis=1)  # (samples, videos)
        self.weights = times[:, video].astype(float)  # (samples, N): how often each utterance
        self.weights /= self.weights.sum(axis=1, keepdims=True)

    def interval(self, pairs, metric):
        """The 95% interval of the mean difference between the runs of each pair; nan without."""
        if self.weights is None or metric not in RESAMPLED or not pairs:
            return math.nan, math.nan
        differences = [self._scores(a, metric) - self._scores(b, metric) for a, b in pairs]
        return tuple(np.quantile(np.mean(differences, axis=0), (0.025, 0.975)))

    def _scores(self, run, metric):
        """The metric of one run on every sample, (samples,)."""
        key = run['run'], run['experiment'], run.name, metric
        if key not in self.cache:
            score = {'Corr': _correlations, 'MAE': _errors}[metric]
            self.cache[key] = score(self.weights, run['y_true'], run['y_pred'])
        return self.cache[key]


def _errors(weights, y_true, y_pred):
    """Mean absolute error under each row of the weights (samples, N)."""
    return weights @ np.abs(y_pred - y_true)


def _correlations(weights, y_true, y_pred):
    """Pearson's correlation under each row of the weights; nan where a side is constant."""
    mean_true, mean_pred = weights @ y_true, weights @ y_pred
    covariance = weights @ (y_true * y_pred) - mean_true * mean_pred
    variances = [weights @ y**2 - m**2 for y, m in ((y_true, mean_true), (y_pred, mean_pred))]
    spread = np.sqrt(np.clip(variances, 0, None)).prod(axis=0)
    return np.where(spread > 1e-6, covariance / np.maximum(spread, 1e-6), np.nan)
