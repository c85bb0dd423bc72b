"""Tables and sentences about a study, in Chinese, as the notebook shows them."""

import math
from collections.abc import Iterable

import pandas as pd
from scipy import stats

NBSP = '\N{NO-BREAK SPACE}'  # a number and its spread stay on one line of a table


def ablation_table(
    results: pd.DataFrame, summary: pd.DataFrame, names: Iterable[str], metric: str = 'valid_Corr'
) -> pd.DataFrame:
    """The comparison with the baseline that `summary` is about, as text: a row for each name.

    `results` is a table of `run_study`, `summary` what `summarize` makes of it. The columns, with
    Chinese headings, are the mean and standard deviation of `metric` over seeds, its difference
    from the baseline with the interval, and the means of the other columns. An experiment of which
    every run failed has the reason in place of them.
    """
    rows = {}
    for name in names:
        runs = results[results['experiment'] == name]
        finished = runs[runs['error'] == '']
        if finished.empty:
            rows[name] = {metric: f'失败：{runs["error"].iloc[0]}'}
            continue
        mean, sd, diff, low, high = summary.loc[name, metric]
        interval = f' [{low:+.3f},{NBSP}{high:+.3f}]' if math.isfinite(low) else ''
        is_baseline = diff == 0 and (low == high or math.isnan(low))
        has_difference = not (math.isnan(diff) or is_baseline)
        rows[name] = {
            metric: _format_mean(mean, sd),
            '与基线之差 [95% 区间]': f'{diff:+.3f}{interval}' if has_difference else '',
            'valid_MAE': _format_number(finished['valid_MAE'].mean()),
            'test_Corr（只读）': _format_number(finished['test_Corr'].mean()),
            '参数量': f'{finished["parameters"].iloc[0]:,.0f}',
            '秒/次': f'{finished["seconds"].mean():.0f}',
            '种子': f'{len(finished)}/{len(runs)}',
        }
    return pd.DataFrame.from_dict(rows, orient='index').fillna('')


def metrics_table(results: pd.DataFrame, names: Iterable[str], split: str = 'test') -> pd.DataFrame:
    """All metrics of one split as text: a row for each name, mean and deviation over seeds.

    `results` is a table of `run_study`, `split` is 'valid' or 'test'. The last two columns, with
    Chinese headings, are the number of parameters and the mean seconds of a training.
    """
    rows, prefix = {}, f'{split}_'
    for name in names:
        finished = results[(results['experiment'] == name) & (results['error'] == '')]
        row = rows[name] = {}
        for column in (c for c in results if c.startswith(prefix)):
            values = finished[column]
            row[column.removeprefix(prefix)] = _format_mean(values.mean(), values.std())
        row['参数量'] = f'{finished["parameters"].mean():,.0f}'
        row['秒/次'] = f'{finished["seconds"].mean():.0f}'
    return pd.DataFrame.from_dict(rows, orient='index')


def _format_mean(mean, sd):
    """A mean and its standard deviation, which is left out where it is undefined (one seed)."""
    return _format_number(mean) + (f'{NBSP}±{NBSP}{sd:.3f}' if math.isfinite(sd) else '')


def _format_number(value):
    """Three decimals, or the word for undefined (constant predictions have no correlation)."""
    return '无定义' if math.isnan(value) else f'{value:.3f}'


def difference_in_words(
    summary: pd.DataFrame, name: str, metric: str, reference: str = '基线'
) -> str:
    """One Chinese sentence: whether an experiment differs from the baseline of the summary.

    `summary` is what `summarize` returns, `name` one of its experiments, `metric` one of its
    metrics, such as 'valid_Corr'; `reference` is the word for the baseline in the sentence.
    """
    mean, _, diff, low, high = summary.loc[name, metric]
    if math.isnan(diff):
        return f'{name}：没有可比的结果。'
    sentence = f'{name}：{metric} 平均 {mean:.3f}，与{reference}相差 {diff:+.3f}'
    if math.isnan(low):
        return f'{sentence}；只有一个种子，没有区间，不能下结论。'
    verdict = '包含 0，看不出差别' if low <= 0 <= high else '不含 0'
    return f'{sentence}，95% 区间 [{low:+.3f}, {high:+.3f}]，{verdict}。'


def seeds_note(summary: pd.DataFrame) -> str:
    """A Chinese note to stand under a table: the number of seeds, and what it allows to conclude.

    `summary` is what `summarize` returns; the experiment with the fewest finished runs counts.
    """
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
