"""What the study makes of its results: means, two intervals, tables and the note under them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from msa_lab.study import difference_table, join, metrics_table, seeds_note, summarize


def table_of(values):
    """A result table from {experiment: [Corr per seed]}."""
    rows = [
        {'experiment': name, 'seed': seed, 'valid_Corr': corr, 'error': ''}
        for name, corrs in values.items()
        for seed, corr in enumerate(corrs)
    ]
    return pd.DataFrame(rows)


def test_summary_against_scipy():
    base, other = [0.50, 0.55, 0.52, 0.58], [0.56, 0.60, 0.61, 0.60]
    summary = summarize(table_of({'base': base, 'other': other}), 'base')
    row = summary.loc['other', 'valid_Corr']
    assert row['mean'] == pytest.approx(np.mean(other))
    assert row['sd'] == pytest.approx(np.std(other, ddof=1))
    assert row['diff'] == pytest.approx(np.mean(other) - np.mean(base))
    interval = stats.ttest_rel(other, base).confidence_interval(0.95)
    assert (row['low'], row['high']) == pytest.approx((interval.low, interval.high))
    assert np.isnan(row['people_low'])  # no predictions, no speakers
    assert summary.loc['base', ('valid_Corr', 'diff')] == 0
    assert summary['seeds'].tolist() == [4, 4]


def test_differences_are_paired_by_seed_and_failed_runs_left_out():
    table = table_of({'base': [0.1, 0.5, 0.9], 'other': [0.2, 0.6, 1.0]})
    table.loc[5, ['error', 'valid_Corr']] = 'RuntimeError', np.nan
    summary = summarize(table.sample(frac=1, random_state=0), 'base')
    assert summary.loc['other', ('seeds', '')] == 2
    row = summary.loc['other', 'valid_Corr']
    assert (row['diff'], row['low'], row['high']) == pytest.approx((0.1, 0.1, 0.1))


def with_predictions(speakers=12, each=20, seeds=(0, 1)):
    """Results of a baseline and of a model whose errors are smaller for half of the speakers."""
    rng = np.random.default_rng(5)
    video = np.repeat([f'v{i}' for i in range(speakers)], each)
    y_true = rng.normal(size=len(video))
    better = np.repeat(np.arange(speakers) % 2 == 0, each)
    rows = []
    for seed in seeds:
        noise = rng.normal(size=len(video))
        for name, scale in (('base', 1.0), ('half', np.where(better, 0.2, 1.0))):
            y_pred = y_true + scale * noise
            scores = {
                'valid_Corr': np.corrcoef(y_pred, y_true)[0, 1],
                'valid_MAE': np.abs(y_pred - y_true).mean(),
                'valid_Mult_acc_7': 0.5,
            }
            arrays = {'video': video, 'y_true': y_true, 'y_pred': y_pred}
            rows.append(
                {'experiment': name, 'seed': seed, 'error': '', 'run': '', **scores, **arrays}
            )
    return pd.DataFrame(rows)


def test_the_interval_over_speakers_against_a_plain_bootstrap():
    """Whole videos are drawn, the metrics computed anew, the difference averaged over seeds."""
    results = with_predictions()
    summary = summarize(results, 'base')
    rng, draws = np.random.default_rng(1), {'Corr': [], 'MAE': []}
    videos = np.unique(results['video'][0])
    rows = {name: np.flatnonzero(results['video'][0] == name) for name in videos}
    for _ in range(600):
        drawn = np.concatenate([rows[name] for name in rng.choice(videos, len(videos))])
        scores = {'Corr': [], 'MAE': []}
        for _, row in results.iterrows():
            y_true, y_pred = row['y_true'][drawn], row['y_pred'][drawn]
            sign = 1 if row['experiment'] == 'half' else -1
            scores['Corr'].append(sign * np.corrcoef(y_true, y_pred)[0, 1])
            scores['MAE'].append(sign * np.abs(y_true - y_pred).mean())
        for metric, values in scores.items():
            draws[metric].append(sum(values) / 2)
    for metric, values in draws.items():
        row = summary.loc['half', f'valid_{metric}']
        expected = np.quantile(values, (0.025, 0.975))
        assert (row['people_low'], row['people_high']) == pytest.approx(expected, abs=0.02)
        assert row['people_low'] < row['diff'] < row['people_high']
    assert np.isnan(summary.loc['half', ('valid_Mult_acc_7', 'people_low')])
    base = summary.loc['base', 'valid_MAE']
    assert (base['people_low'], base['people_high']) == (0, 0)


def test_one_video_gives_no_interval_over_speakers():
    summary = summarize(with_predictions(speakers=1), 'base')
    assert np.isnan(summary.loc['half', ('valid_MAE', 'people_low')])


def test_a_constant_prediction_has_no_correlation_on_any_sample():
    results = with_predictions()
    constant = results[results['experiment'] == 'base'].assign(experiment='constant')
    constant['y_pred'] = [np.full(240, 0.3)] * 2
    constant['valid_Corr'] = np.nan
    summary = summarize(join(results, constant), 'base')
    assert np.isnan(summary.loc['constant', ('valid_Corr', 'people_low')])
    assert np.isfinite(summary.loc['constant', ('valid_MAE', 'people_low')])


def test_one_seed_has_a_difference_and_no_interval_over_seeds():
    summary = summarize(table_of({'base': [0.5], 'other': [0.6]}), 'base')
    assert summary.loc['other', ('valid_Corr', 'diff')] == pytest.approx(0.1)
    assert np.isnan(summary.loc['other', ('valid_Corr', 'low')])
    assert '粗略结果' in seeds_note(summary)


def test_the_table_of_differences_says_which_intervals_exclude_zero():
    results = with_predictions(seeds=(0, 1, 2))
    rows = {('half', 'base'): 'half − base', ('base', 'half'): 'base − half'}
    table = difference_table(results, rows, ('valid_MAE', 'valid_Mult_acc_7'))
    assert list(table.index) == list(rows.values())
    difference = results.groupby('experiment')['valid_MAE'].mean().diff().iloc[-1]
    assert table['valid_MAE', '差'].tolist() == [f'{difference:+.3f}', f'{-difference:+.3f}']
    assert table['valid_MAE', '不含 0'].tolist() == ['两个都是'] * 2
    low, high = summarize(results, 'base').loc['half', 'valid_MAE'][['people_low', 'people_high']]
    assert table['valid_MAE', '换人 [95%]'].iloc[0] == f'[{low:+.3f},\xa0{high:+.3f}]'
    assert table['valid_Mult_acc_7', '换人 [95%]'].tolist() == ['', '']
    assert table['valid_Mult_acc_7', '不含 0'].tolist() == ['无', '无']
    assert '5 个种子' in seeds_note(summarize(with_predictions(seeds=range(5)), 'base'))


def test_tables_are_joined_without_repeating_a_run():
    first, second = (
        table_of({'base': [0.1, 0.2]}),
        table_of({'base': [0.9, 0.2], 'new': [0.3, 0.4]}),
    )
    table = join(first, second)
    assert table['experiment'].tolist() == ['base', 'base', 'new', 'new']
    assert table['valid_Corr'].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_the_table_of_metrics_has_a_row_for_each_experiment_and_leaves_failed_runs_out():
    table = table_of({'base': [0.50, 0.52], 'other': [0.6, 0.7], 'flat': [np.nan], 'bad': [0]})
    table = table.assign(valid_MAE=1.25, parameters=12345.0, seconds=2.0)
    table.loc[3, ['error', 'valid_Corr']] = 'RuntimeError: no', np.nan
    table.loc[5, ['error', 'valid_Corr']] = 'RuntimeError: no', np.nan
    text = metrics_table(table, ['other', 'base', 'flat', 'bad'], 'valid')
    assert list(text.index) == ['other', 'base', 'flat', 'bad']
    assert list(text) == ['Corr', 'MAE', '参数量', '秒/次', '种子']
    assert text['Corr'].tolist()[:3] == ['0.600', '0.510\xa0±\xa00.014', '无定义']
    assert text.loc['base'].tolist()[1:] == ['1.250\xa0±\xa00.000', '12,345', '2', '2/2']
    assert text.loc['other', '种子'] == '1/2'
    assert text.loc['bad', 'MAE'] == '失败：RuntimeError: no'


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match="no experiment 'b'"):
        summarize(table_of({'a': [1.0]}), 'b')
