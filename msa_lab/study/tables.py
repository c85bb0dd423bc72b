"""Tables and sentences about a study, in Chinese, as the notebook shows them."""

import math
from collections.abc import Iterable

import pandas as pd
from scipy import stats

from msa_lab.study.statistics import summarize

NBSP = '\N{NO-BREAK SPACE}'  # a number and its spread stay on one line of a table


def difference_table(
    results: pd.DataFrame,
    pairs: Iterable[tuple[str, str]],
    metrics: Iterable[str] = ('valid_Corr', 'valid_MAE'),
) -> pd.DataFrame:
    """The difference of the first experiment of each pair from the second, as text: a row for each.

    `results` is a table of `run_study` or `evaluate_chosen`. The columns are (metric, part), with
    Chinese parts: the difference at the same seed, averaged over seeds; its 95% interval for other
    seeds and for other speakers (see `summarize`); and which of the two exclude 0.
    """
    pairs = list(pairs)
    against = {reference: summarize(results, reference) for _, reference in pairs}
    rows = {}
    for name, reference in pairs:
        row = rows[f'{name} − {reference}'] = {}
        for metric in metrics:
            _, _, diff, *bounds = against[reference].loc[name, metric]
            intervals = {'换种子 [95%]': bounds[:2], '换人 [95%]': bounds[2:]}
            row[metric, '差'] = '' if math.isnan(diff) else f'{diff:+.3f}'
            row |= {(metric, part): _format_interval(*ends) for part, ends in intervals.items()}
            row[metric, '不含 0'] = _verdict(*(_excludes_zero(*e) for e in intervals.values()))
    table = pd.DataFrame.from_dict(rows, orient='index')
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    return table


def metrics_table(results: pd.DataFrame, names: Iterable[str], split: str = 'test') -> pd.DataFrame:
    """All metrics of one split as text: a row for each name, mean and deviation over seeds.

    `results` is a table of `run_study` or `evaluate_chosen`, `split` is 'valid' or 'test'. The last
    columns, with Chinese headings, are the number of parameters, the mean seconds of a training,
    and how many of the runs are finished. An experiment of which every run failed has the reason
    in place of them.
    """
    rows, prefix = {}, f'{split}_'
    for name in names:
        runs = results[results['experiment'] == name]
        finished = runs[runs['error'] == '']
        columns = [column for column in results if column.startswith(prefix)]
        if finished.empty:
            rows[name] = {columns[-1].removeprefix(prefix): f'失败：{runs["error"].iloc[0]}'}
            continue
        row = rows[name] = {}
        for column in columns:
            values = finished[column]
            row[column.removeprefix(prefix)] = _format_mean(values.mean(), values.std())
        row['参数量'] = f'{finished["parameters"].mean():,.0f}'
        row['秒/次'] = f'{finished["seconds"].mean():.0f}'
        row['种子'] = f'{len(finished)}/{len(runs)}'
    return pd.DataFrame.from_dict(rows, orient='index').fillna('')


def _format_mean(mean, sd):
    """A mean and its standard deviation, which is left out where it is undefined (one seed)."""
    return _format_number(mean) + (f'{NBSP}±{NBSP}{sd:.3f}' if math.isfinite(sd) else '')


def _format_number(value):
    """Three decimals, or the word for undefined (constant predictions have no correlation)."""
    return '无定义' if math.isnan(value) else f'{value:.3f}'


def _format_interval(low, high):
    """Both ends of an interval; empty where there is none."""
    return f'[{low:+.3f},{NBSP}{high:+.3f}]' if math.isfinite(low) else ''


def _excludes_zero(low, high):
    """Whether an interval is there and does not contain 0."""
    return math.isfinite(low) and not low <= 0 <= high


def _verdict(seeds, people):
    """Which intervals exclude 0, in one word."""
    return {(True, True): '两个都是', (True, False): '换种子', (False, True): '换人'}.get(
        (bool(seeds), bool(people)), '无'
    )


def seeds_note(summary: pd.DataFrame) -> str:
    """A Chinese note to stand under a table: what the number of seeds and the two intervals allow.

    `summary` is what `summarize` returns; the experiment with the fewest finished runs counts.
    """
    seeds = int(summary['seeds'].min())
    if seeds < 2:
        return f'每个实验只有 {seeds} 个种子，这是**粗略结果**：看不出波动，也不能下结论。'
    width = stats.t.ppf(0.975, seeds - 1) / math.sqrt(seeds)
    return (
        f'每个实验 {seeds} 个种子，差值按种子配对，“换种子”区间的半宽是差值标准差的 {width:.1f} 倍；'  # noqa
        f'“换人”区间由自助法得到，每次有放回地抽取整段视频。两个区间各管一种偶然，要分开读；'
        f'“看不出差别”不等于“没有差别”。'
        f'一次比较许多实验时，即使都没有差别，平均每 20 个区间也会有 1 个碰巧不含 0。'
    )
