"""What many seeds say: means, spread, and the paired difference from a baseline."""

import math

import pandas as pd
from scipy import stats


def summarize(results, baseline):
    """Mean, spread and paired difference from the baseline, a row per experiment.

    Columns: `seeds` (runs that finished) and, for each metric of `results`, (metric, part) with
    the parts `mean`, `sd` (over seeds, n - 1), `diff` (mean over seeds of the difference from
    the experiment `baseline` at the same seed), `low` and `high` (its 95% interval, Student's t).
    What needs two seeds is nan with one.
    """
    if baseline not in set(results['experiment']):
        raise ValueError(f'no experiment {baseline!r} in the results')
    finished = results[results['error'] == '']
    metrics = [c for c in results if c.startswith(('valid_', 'test_'))]
    base = finished[finished['experiment'] == baseline].set_index('seed')
    table = {}
    for name in results['experiment'].unique():
        own = finished[finished['experiment'] == name].set_index('seed')
        row = table[name] = {('seeds', ''): len(own)}
        for metric in metrics:
            row[metric, 'mean'], row[metric, 'sd'] = own[metric].mean(), own[metric].std()
            pairs = (own[metric] - base[metric]).dropna()
            row[metric, 'diff'] = pairs.mean()
            row[metric, 'low'], row[metric, 'high'] = _interval(pairs)
    summary = pd.DataFrame.from_dict(table, orient='index')
    summary.columns = pd.MultiIndex.from_tuples(summary.columns)
    return summary


def _interval(values):
    """The 95% interval of a mean, Student's t; nan for fewer than two values."""
    if len(values) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / math.sqrt(len(values))
    return values.mean() - half, values.mean() + half
