"""The plots that compare models: experiments, damaged inputs, sizes of the data, calibration."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from msa_lab.report.drawing import (
    ACCENT,
    INTERVALS,
    MODEL_STYLES,
    SCORES,
    colour_modalities,
    new_figure,
)


def ablation(
    results: pd.DataFrame,
    summary: pd.DataFrame,
    baseline: str,
    metric: str = 'valid_Corr',
    title: str = '',
) -> Figure:
    """Every run of every experiment as a point, and the mean of the baseline as a line.

    `results` comes from `run_study` and `summary` from `summarize`, whose rows are drawn from top
    to bottom. Two bars below the points are the 95% intervals of the paired difference, over seeds
    and over speakers, drawn from the baseline's mean: where one does not touch the line, it does
    not contain zero. The axis shows the rows near the baseline, and a bar ends where the axis ends.
    A row further away has an arrow at the edge, with its mean.
    """
    names = list(summary.index)
    figure, ax = new_figure(9, 1.3 + 0.46 * len(names), title=title)
    means = summary[metric, 'mean']
    base = means[baseline]
    far = _far_rows(means, base)
    line = ax.axvline(base, color='#999999', linestyle='--', linewidth=1)
    handles, shown, bounds = {f'mean of {baseline}': line}, [base], []
    for row, name in enumerate(names):
        if far[name]:
            continue
        points = results.loc[results['experiment'] == name, metric]
        style = dict(color=ACCENT, alpha=0.55, markersize=6)
        (handles['one seed'],) = ax.plot(points, [row - 0.08] * len(points), 'o', **style)
        shown += list(points.dropna())
        for (parts, (label, style)), below in zip(INTERVALS.items(), (0.17, 0.31), strict=True):
            ends = [base + summary.loc[name, (metric, part)] for part in parts]
            if name != baseline and np.isfinite(ends).all():
                (handles[label],) = ax.plot(ends, [row + below] * 2, '-', **style)
                bounds += ends
    ax.set_xlim(*_limits(shown, bounds))
    for row, name in enumerate(names):
        if far[name]:
            _point_outside(ax, row, means[name], left=means[name] < base)
    ax.set_yticks(range(len(names)), names)
    colour_modalities(ax.get_yticklabels())
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(metric.replace('valid_', 'validation ').replace('test_', 'test '))
    style = dict(frameon=False, fontsize=8, loc='outside lower center', ncols=4)
    figure.legend(handles.values(), handles.keys(), **style)
    return figure


def _far_rows(means: pd.Series, base: float) -> pd.Series:
    """Which means are so far from the baseline that an axis with them would hide the others.

    Far is more than 3 times the distance within which three quarters of the other rows are. A row
    without a mean is not far.
    """
    distances = (means - base).abs()
    return distances > 3 * distances[distances > 0].quantile(0.75)  # nan is not greater


def _limits(shown, bounds):
    """Limits of an axis for all values in `shown`, and for the bounds as far as there is room.

    With two seeds an interval over seeds is so wide that the points would all be in one place.
    """
    low, high = min(shown), max(shown)
    room = high - low or 0.05
    low = max(low - room, min([low, *bounds]))
    high = min(high + room, max([high, *bounds]))
    margin = 0.04 * (high - low) or 0.05
    return low - margin, high + margin


def _point_outside(ax, row, mean, left):
    """Draw an arrow that points out of the axes at one side of a row, and the mean beside it."""
    edge, tail = (0.003, 0.045) if left else (0.997, 0.955)
    place = dict(xycoords=ax.get_yaxis_transform(), textcoords=ax.get_yaxis_transform())
    arrow = dict(arrowstyle='-|>', color=ACCENT, shrinkA=2, shrinkB=0)
    style = dict(fontsize=9, va='center', ha='left' if left else 'right', arrowprops=arrow)
    ax.annotate(f'mean {mean:.2f}', (edge, row), (tail, row), **place, **style)


def robustness(scores: pd.DataFrame, xlabel: str, title: str = '') -> Figure:
    """Change of test Corr and MAE of every model as its input gets worse; in both, down is worse.

    `scores` has one row per (model, seed, level) and the columns `model`, `seed`, `level`, `Corr`,
    `MAE`. The change is from the same model and seed on the undamaged input, which is level 0, or
    the first level where there is no 0: mean over seeds, and min to max. Both panels have the same
    scale; the axis of MAE is upside down. The legend has the means on the undamaged input.

    Models are those of `MODEL_STYLES`. Levels are numbers, which get lines and bands, or names,
    which get points and bars in the order of the rows.
    """
    figure, axes = new_figure(9.5, 3.5, 1, 2, title)
    levels = list(scores['level'].unique())
    numeric = all(isinstance(level, (int, float)) for level in levels)
    undamaged = 0 if numeric and 0 in levels else levels[0]
    names = scores['model'].unique()
    scores = scores.set_index(['model', 'seed', 'level'])[['Corr', 'MAE']].sort_index()
    start = scores.xs(undamaged, level='level')
    change = scores - start.reindex(scores.index.droplevel('level')).set_axis(scores.index)
    for i, name in enumerate(names):
        colour, style = MODEL_STYLES[name]
        for ax, metric in zip(axes, scores, strict=True):
            label = f'{name} ({metric} {start.loc[name, metric].mean():.2f})'
            common = dict(color=colour, label=label, markersize=5)
            groups = change.loc[name, metric].groupby('level')
            low, mean, high = (
                groups.agg(statistic).loc[levels] for statistic in ('min', 'mean', 'max')
            )
            if numeric:
                ax.fill_between(levels, low, high, color=colour, alpha=0.15, linewidth=0)
                ax.plot(levels, mean, style, **common)
            else:  # a line from name to name would mean nothing
                x = np.arange(len(levels)) + 0.12 * (i - (len(names) - 1) / 2)
                ax.errorbar(x, mean, [mean - low, high - mean], fmt=style[0], capsize=2, **common)
    better = np.stack([change['Corr'], -change['MAE']])
    worst, best = min(np.nanmin(better), -0.02), max(np.nanmax(better), 0.02)
    limits = worst - 0.08 * (best - worst), best + 0.08 * (best - worst)
    axes[0].set(ylim=limits, ylabel='change of test Corr')
    axes[1].set(ylim=[-limit for limit in limits], ylabel='change of test MAE (upside down)')
    ticks = levels if numeric else range(len(levels))
    for ax in axes:
        ax.axhline(0, color='black', linewidth=0.6)
        ax.set_title('down: worse', fontsize=9, loc='left', color='#595959')
        ax.set_xlabel(xlabel)
        ax.set_xticks(ticks, [f'{level:g}' for level in levels] if numeric else levels)
        colour_modalities(ax.get_xticklabels())
        ax.legend(frameon=False, fontsize=8, title='undamaged input', title_fontsize=8)
    return figure


def learning_curve(scores: pd.DataFrame, title: str = '') -> Figure:
    """Corr of every model over the number of training sentences: mean over seeds, and min to max.

    `scores` has one row per (model, sentences, seed) and the columns `model`, `sentences`, `seed`,
    `Corr`. Models are those of `MODEL_STYLES`. Each step of the axis doubles the sentences.
    """
    figure, ax = new_figure(7, 3.6, title=title)
    for name, runs in scores.groupby('model', sort=False):
        colour, style = MODEL_STYLES[name]
        corr = runs.groupby('sentences')['Corr'].agg(['min', 'mean', 'max'])
        band = dict(color=colour, alpha=0.15, linewidth=0)
        ax.fill_between(corr.index, corr['min'], corr['max'], **band)
        ax.plot(corr.index, corr['mean'], style, color=colour, label=name, markersize=5)
    sizes = sorted(scores['sentences'].unique())
    ax.set_xscale('log', base=2)
    ax.set_xticks(sizes, [f'{size:g}' for size in sizes])
    ax.minorticks_off()
    ax.set(xlabel='training sentences (logarithmic axis)', ylabel='Corr (higher is better)')
    ax.legend(frameon=False, fontsize=9)
    return figure


def calibration(predictions: dict[str, tuple[np.ndarray, np.ndarray]], title: str = '') -> Figure:
    """Mean prediction per class of the label (left), mean label per class of prediction (right).

    `predictions` is {model: (y_true, y_pred)}, arrays (N,), with models of `MODEL_STYLES`. Bars are
    standard errors; a class of fewer than 5 utterances is left out. On the right, a calibrated
    model lies on the diagonal.
    """
    figure, axes = new_figure(9.5, 4.2, 1, 2, title)
    names = ('true score (rounded)', 'mean prediction'), ('prediction (rounded)', 'mean true score')
    for side, (ax, (xlabel, ylabel)) in enumerate(zip(axes, names, strict=True)):
        ax.plot([-3, 3], [-3, 3], color='black', linewidth=1, linestyle='--')
        for name, pair in predictions.items():
            colour, style = MODEL_STYLES[name]
            rounded, averaged = pair if side == 0 else pair[::-1]
            groups = {c: averaged[np.round(rounded) == c] for c in SCORES}
            groups = {c: values for c, values in groups.items() if len(values) >= 5}
            errors = [v.std(ddof=1) / np.sqrt(len(v)) for v in groups.values()]
            means = [v.mean() for v in groups.values()]
            common = dict(color=colour, label=name, markersize=5, capsize=2)
            ax.errorbar(list(groups), means, errors, fmt=style, **common)
        ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xticks=SCORES)
    axes[0].legend(frameon=False, fontsize=9)
    return figure
