"""Means and spread over seeds, and the difference from a baseline, paired by seed."""

import math

import pandas as pd
from scipy import stats


def summarize(results: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Mean, spread and paired difference from the baseline: a row for every experiment.

    `results` is a table of `run_study`, `baseline` the name of one of its experiments. Columns:
    `seeds` (number of runs that did not fail), and (metric, part) for every metric of `results`.
    The parts are `mean` and `sd` (over seeds, n - 1), `diff` (the difference from `baseline` at
    the same seed, averaged over seeds), `low` and `high` (the 95% interval of that average, by
    Student's t). With one seed `sd`, `low` and `high` are nan.

    Raises ValueError when the results have no experiment of the name `baseline`.
    """
    if baseline not in set(results['experiment']):
        raise ValueError(f'no experiment {baseline!r} in the results')
    finished = results[results['error'] == '']
    metrics = [c for c in results if c.startswith(('valid_', 'test_'))]
    reference = finished[finished['experiment'] == baseline].set_index('seed')
    table = {}
    for name in results['experiment'].unique():
        runs = finished[finished['experiment'] == name].set_index('seed')
        row = table[name] = {('seeds', ''): len(runs)}
        for metric in metrics:
            row[metric, 'mean'], row[metric, 'sd'] = runs[metric].mean(), runs[metric].std()
            differences = (runs[metric] - reference[metric]).dropna()
            row[metric, 'diff'] = differences.mean()
            row[metric, 'low'], row[metric, 'high'] = _confidence_interval(differences)
    summary = pd.DataFrame.from_dict(table, orient='index')
    summary.columns = pd.MultiIndex.from_tuples(summary.columns)
    return summary


def _confidence_interval(values):
    """The 95% interval of a mean, by Student's t; nan for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half
