"""Tables and sentences, in Chinese, that a notebook shows of a study."""

import math

import pandas as pd
from scipy import stats

NBSP = '\N{NO-BREAK SPACE}'  # a number and its spread stay on one line of a table


def ablation_table(results, summary, names, metric='valid_Corr'):
    """The table that a notebook shows: one row per experiment of `names`, Chinese headings.

    Mean and standard deviation over seeds of `metric`, its paired difference from the baseline
    with the interval, the other columns as means; a failed experiment says why in place of them.
    """
    rows = {}
    for name in names:
        runs = results[results['experiment'] == name]
        if (runs['error'] != '').all():
            rows[name] = {metric: f'失败：{runs["error"].iloc[0]}'}
            continue
        mean, sd, diff, low, high = summary.loc[name, metric]
        spread = f'{NBSP}±{NBSP}{sd:.3f}' if math.isfinite(sd) else ''
        interval = f' [{low:+.3f},{NBSP}{high:+.3f}]' if math.isfinite(low) else ''
        difference = f'{diff:+.3f}{interval}'
        itself = diff == 0 and (low == high or math.isnan(low))  # the baseline from itself
        own = runs[runs['error'] == '']
        rows[name] = {
            metric: _number(mean) + spread,
            '与基线之差 [95% 区间]': '' if math.isnan(diff) or itself else difference,
            'valid_MAE': _number(own['valid_MAE'].mean()),
            'test_Corr（只读）': _number(own['test_Corr'].mean()),
            '参数量': f'{own["parameters"].iloc[0]:,.0f}',
            '秒/次': f'{own["seconds"].mean():.0f}',
            '种子': f'{len(own)}/{len(runs)}',
        }
    return pd.DataFrame.from_dict(rows, orient='index').fillna('')


def metrics_table(results, names, split='test'):
    """All metrics of one split side by side: a row per experiment, mean and sd over seeds.

    With it go the number of parameters and the mean seconds of a training; Chinese headings.
    """
    rows, prefix = {}, f'{split}_'
    for name in names:
        own = results[(results['experiment'] == name) & (results['error'] == '')]
        row = rows[name] = {}
        for column in (c for c in results if c.startswith(prefix)):
            sd = own[column].std()
            spread = f'{NBSP}±{NBSP}{sd:.3f}' if math.isfinite(sd) else ''
            row[column.removeprefix(prefix)] = _number(own[column].mean()) + spread
        row['参数量'] = f'{own["parameters"].mean():,.0f}'
        row['秒/次'] = f'{own["seconds"].mean():.0f}'
    return pd.DataFrame.from_dict(rows, orient='index')


def _number(value):
    """Three decimals, or a word for what is undefined (a constant has no correlation)."""
    return '无定义' if math.isnan(value) else f'{value:.3f}'


def difference_in_words(summary, name, metric, reference='基线'):
    """One Chinese sentence: does an experiment differ from the baseline, as far as one can tell?

    `summary` as `summarize` returns it; `metric` one of its columns, such as 'valid_Corr';
    `reference` is what to call the experiment that the summary compares with.
    """
    mean, diff, low, high = (
        summary.loc[name, (metric, p)] for p in ('mean', 'diff', 'low', 'high')
    )
    if math.isnan(diff):
        return f'{name}：没有可比的结果。'
    said = f'{name}：{metric} 平均 {mean:.3f}，与{reference}相差 {diff:+.3f}'
    if math.isnan(low):
        return f'{said}；只有一个种子，没有区间，不能下结论。'
    verdict = '包含 0，看不出差别' if low <= 0 <= high else '不含 0'
    return f'{said}，95% 区间 [{low:+.3f}, {high:+.3f}]，{verdict}。'


def seeds_note(summary):
    """A Chinese note for under a table: how many seeds, and what they can and cannot show."""
    seeds = int(summary['seeds'].min())
    text = '验证集用来比较和选择；测试集那一列只供阅读，不参与选择。'
    if seeds < 2:
        return f'每个实验只有 {seeds} 个种子，这是一张**草图**：看不出波动，也不能下结论。{text}'
    width = stats.t.ppf(0.975, seeds - 1) / math.sqrt(seeds)
    return (
        f'每个实验 {seeds} 个种子，差值按种子配对；区间的半宽是差值标准差的 {width:.1f} 倍，'
        f'所以只有大而稳定的差别才显得出来，“看不出差别”不等于“没有差别”。'
        f'一次比较许多实验时，即使都没有差别，平均每 20 个区间也会有 1 个碰巧不含 0。'
        f'区间也不包括“换一批说话人”的波动：每个种子用的都是同一份验证集。{text}'
    )
