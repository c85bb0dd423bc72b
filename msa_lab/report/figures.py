"""Every plot of the lab, one function each, which returns a matplotlib Figure.

A colour means the same thing in every figure: there is one for each modality, split and model, and
colour-blind readers can tell them apart. The functions take arrays and plain values, and no model.
The first line of a docstring is also the text that the HTML page has in place of the figure for
readers who cannot see it: it says what the figure shows.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from msa_lab.data import MODALITIES

COLOURS = {'vision': '#0072B2', 'text': '#D55E00', 'audio': '#009E73'}
SPLIT_COLOURS = {'train': '#4D4D4D', 'valid': '#CC79A7', 'test': '#E69F00'}
ACCENT = '#6A51A3'
RAISES, LOWERS = ACCENT, '#8C6D31'  # what raises and what lowers a score
MODEL_STYLES = {  # colour, and marker with line style
    'baseline': ('#4D4D4D', 'o-'),
    'TFN': ('#E69F00', 's--'),
    'improved model': (ACCENT, 'D-'),
    'ridge': ('#56B4E9', '^-.'),
}
INTERVALS = {  # how figures tell apart the two intervals of `summarize`
    ('low', 'high'): ('95% interval, other seeds', dict(color='black', linewidth=1.1)),
    ('people_low', 'people_high'): (
        '95% interval, other speakers',
        dict(color='#AAAAAA', linewidth=4, solid_capstyle='butt'),
    ),
}
SCORES = np.arange(-3, 4)


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, title: str = '', **kwargs: Any
) -> tuple[Figure, Any]:
    """A Figure of that size in inches and its axes, without lines at the top and at the right.

    The keywords go to `Figure.subplots`, which returns the axes: one, or an array of them.
    """
    figure = Figure(figsize=(width, height), layout='constrained', dpi=100)
    axes = figure.subplots(rows, columns, **kwargs)
    for ax in np.ravel(axes):
        ax.spines[['top', 'right']].set_visible(False)
    if title:
        figure.suptitle(_without_formulas(title), fontsize=11)
    return figure, axes


def _without_formulas(text: str) -> str:
    """Text that matplotlib draws unchanged: without this, a `$` in it would begin a formula."""
    return text.replace('$', r'\$')


def _colour_modalities(labels: Iterable[Text]) -> None:
    """Give every tick label that names a modality the colour of this modality."""
    for label in labels:
        label.set_color(COLOURS.get(label.get_text(), 'black'))


def label_histogram(labels: dict[str, np.ndarray], title: str = '') -> Figure:
    """Histogram of the labels of each split: the share of utterances in each class of Acc-7.

    `labels` is {split: (N,)}; the mean of each split is marked.
    """
    figure, axes = _figure(9, 3, 1, len(labels), title, sharey=True, squeeze=False)
    edges = np.arange(-3.5, 4)
    for ax, (split, values) in zip(axes[0], labels.items(), strict=True):
        weights = np.full(len(values), 1 / len(values))
        ax.hist(values, edges, weights=weights, color=SPLIT_COLOURS[split], edgecolor='white')
        ax.axvline(values.mean(), color='black', linestyle='--', linewidth=1)
        ax.set_title(f'{split}: N = {len(values)}, mean {values.mean():+.2f}', fontsize=10)
        ax.set_xlabel('sentiment score (dashed: mean)')
        ax.set_xticks(SCORES)
    axes[0, 0].set_ylabel('share of utterances')
    return figure


def length_histogram(lengths: dict[str, np.ndarray], steps: int, title: str = '') -> Figure:
    """Histogram of utterance lengths without padding, in steps: the share of each split.

    `lengths` is {split: (N,)}; `steps` is the number of steps with padding.
    """
    figure, ax = _figure(9, 3, title=title)
    edges = np.arange(0.5, steps + 1.5, 2)
    for split, values in lengths.items():
        weights = np.full(len(values), 1 / len(values))
        label = f'{split}: mean {values.mean():.1f}, median {np.median(values):.0f}'
        style = dict(weights=weights, color=SPLIT_COLOURS[split])
        ax.hist(values, edges, histtype='stepfilled', alpha=0.25, **style)
        ax.hist(values, edges, histtype='step', linewidth=1.6, label=label, **style)
    ax.set(xlabel=f'true length in words (of {steps} steps)', ylabel='share of utterances')
    ax.set_xlim(0, steps + 1)
    ax.legend(frameon=False)
    return figure


def utterance(features: dict[str, np.ndarray], words: Sequence[str], title: str = '') -> Figure:
    """All features of one utterance in its three modalities, on a common time axis.

    `features` is {modality: (L, width)} with the L true steps, `words` are the L words or step
    numbers. Colours show each feature standardised over the steps and clipped at 2.5 standard
    deviations; features are ordered by the step of their maximum, so that features that move
    together stand together.
    """
    figure, axes = _figure(9.5, 6.2, 3, 1, title, sharex=True)
    for ax, modality in zip(axes, MODALITIES, strict=True):
        values = features[modality]
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
        values = values[:, np.argsort(values.argmax(axis=0), kind='stable')]
        style = dict(cmap='RdBu_r', vmin=-2.5, vmax=2.5, interpolation='nearest')
        image = ax.imshow(values.T, aspect='auto', **style)
        ax.set_ylabel(f'{modality}\n{values.shape[1]} features', color=COLOURS[modality])
        ax.set_yticks([])
    words = [_without_formulas(word) for word in words]
    axes[-1].set_xticks(range(len(words)), words, rotation=45, ha='right', fontsize=9)
    axes[-1].set_xlabel('steps that are not padding')
    figure.colorbar(image, ax=axes, shrink=0.6, label='standardised value')
    return figure


def metric_traps() -> Figure:
    """The class that Acc-7 and Acc-5 give to a score, as functions of the score."""
    scores = np.linspace(-3.2, 3.2, 1281)
    figure, ax = _figure(7, 2.8)
    for limit, colour, shift in ((3, ACCENT, 0.0), (2, '#999999', 0.06)):
        classes = np.round(np.clip(scores, -limit, limit))
        ax.plot(scores, classes + shift, color=colour, label=f'Acc-{2 * limit + 1}')
    halves = np.arange(-2.5, 3)
    style = dict(color='black', markersize=4, label='halves go to the even class')
    ax.plot(halves, np.round(halves), 'o', **style)
    ax.set(xlabel='score', ylabel='class', xticks=SCORES, yticks=SCORES)
    ax.legend(frameon=False, fontsize=9)
    return figure


def predicted_against_true(y_true: np.ndarray, y_pred: np.ndarray, title: str = '') -> Figure:
    """Scatter plot of predictions over labels, with the diagonal and the mean per class.

    Both are arrays (N,); the class of a label is its nearest integer.
    """
    figure, ax = _figure(5.6, 5.2, title=title)
    ax.plot([-3, 3], [-3, 3], color='black', linewidth=1, linestyle='--', label='perfect')
    ax.scatter(y_true, y_pred, s=16, alpha=0.4, color='#666666', linewidths=0)
    bins = np.round(y_true)
    centres = np.unique(bins)
    means = [y_pred[bins == centre].mean() for centre in centres]
    ax.plot(centres, means, 'o-', color=ACCENT, label='mean prediction per class')
    ax.set(xlabel='true score', ylabel='predicted score', xlim=(-3.15, 3.15), ylim=(-3.15, 3.15))
    ax.legend(frameon=False, loc='upper left', fontsize=9)
    return figure


def confusion(y_true: np.ndarray, y_pred: np.ndarray, title: str = '') -> Figure:
    """Confusion matrix of the seven classes: rows are true classes, columns predicted ones.

    Labels and predictions are arrays (N,). Colours are shares of the true class, so each row sums
    to 100%; numbers are utterances.
    """
    true, pred = (np.round(np.clip(y, -3, 3)).astype(int) + 3 for y in (y_true, y_pred))
    counts = np.zeros((7, 7), int)
    np.add.at(counts, (true, pred), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, ax = _figure(6, 5, title=title)
    image = ax.imshow(shares, cmap='Purples', vmin=0, vmax=max(0.6, shares.max()))
    for row, column in np.ndindex(7, 7):
        if counts[row, column]:
            colour = 'white' if shares[row, column] > 0.45 else 'black'
            ax.text(column, row, counts[row, column], ha='center', va='center', color=colour)
    names = [f'{score:+d}'.replace('-', '\N{MINUS SIGN}') if score else '0' for score in SCORES]
    ax.set_xticks(range(7), names)
    ax.set_yticks(range(7), names)
    ax.set(xlabel='predicted class', ylabel='true class')
    ax.spines[:].set_visible(False)
    figure.colorbar(image, ax=ax, label='share of the true class (numbers: utterances)')
    return figure


def curves(
    scalars: dict[tuple[str, str], tuple[Sequence[float], Sequence[float]]],
    best_epoch: int | None = None,
    floor: float | None = None,
    title: str = '',
) -> Figure:
    """Both losses, validation Corr and learning rate of one training, over the epochs.

    `scalars` is {(sub-directory, tag): (steps, values)}, as `read_scalars` of
    `msa_lab.files.tensorboard_logs` returns it. `best_epoch`, counted from 1, is marked; `floor` is
    the loss of a constant prediction.
    """
    figure, axes = _figure(11, 3.5, 1, 3, title)
    style = dict(marker='o', markersize=3)
    for split in ('train', 'valid'):
        axes[0].plot(*scalars[split, 'loss'], color=SPLIT_COLOURS[split], label=split, **style)
    axes[1].plot(*scalars['valid', 'metrics/Corr'], color=SPLIT_COLOURS['valid'], **style)
    axes[2].plot(*scalars['train', 'lr'], color='black', **style)
    for ax, name in zip(axes, ('loss (MSE)', 'validation Corr', 'learning rate'), strict=True):
        ax.set(xlabel='epoch', ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if best_epoch is not None:
            ax.axvline(best_epoch, color='#999999', linestyle=':', label='saved epoch')
    if floor is not None:
        axes[0].axhline(floor, color='black', linewidth=1, linestyle='--', label='constant')
    axes[0].legend(frameon=False, fontsize=9)
    axes[0].set_ylim(bottom=0)
    return figure


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
    figure, ax = _figure(9, 1.3 + 0.46 * len(names), title=title)
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
    _colour_modalities(ax.get_yticklabels())
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


def layer_norm_statistics(
    before: dict[str, np.ndarray], after: dict[str, np.ndarray], title: str = ''
) -> Figure:
    """Histograms of the standard deviation within a step, before and after LayerNorm.

    `before` and `after` are {modality: (number of steps,)}.
    """
    figure, axes = _figure(10, 2.8, 1, 3, title, squeeze=False)
    for ax, modality in zip(axes[0], MODALITIES, strict=True):
        edges = np.linspace(0, max(before[modality].max(), after[modality].max()) * 1.02, 40)
        ax.hist(before[modality], edges, color='#BBBBBB', label='before')
        ax.hist(after[modality], edges, color=COLOURS[modality], alpha=0.8, label='after')
        ax.set(xlabel=f'{modality}: sd within a step', yscale='log')
        ax.xaxis.label.set_color(COLOURS[modality])
        ax.legend(frameon=False, fontsize=8)
    axes[0, 0].set_ylabel('steps')
    return figure


def losses(delta: float = 1.0) -> Figure:
    """The losses MSE, MAE and Huber and their slopes, as functions of the error.

    `delta` is the error at which the Huber loss turns from a parabola into a line.
    """
    error = np.linspace(-3, 3, 601)
    inside = np.abs(error) <= delta
    huber = np.where(inside, error**2 / 2, delta * (np.abs(error) - delta / 2))
    figure, axes = _figure(9, 2.8, 1, 2)
    for name, value, slope, style, colour in (
        ('MSE', error**2, 2 * error, '-', '#4D4D4D'),
        ('MAE', np.abs(error), np.sign(error), '--', ACCENT),
        (f'Huber, delta = {delta:g}', huber, np.clip(error, -delta, delta), '-.', LOWERS),
    ):
        axes[0].plot(error, value, style, color=colour, label=name)
        axes[1].plot(error, slope, style, color=colour, label=name)
    axes[0].set(xlabel='error: prediction - label', ylabel='loss', ylim=(0, 6))
    axes[1].set(xlabel='error: prediction - label', ylabel='slope of the loss')
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def robustness(scores: pd.DataFrame, xlabel: str, title: str = '') -> Figure:
    """Change of test Corr and MAE of every model as its input gets worse; in both, down is worse.

    `scores` has one row per (model, seed, level) and the columns `model`, `seed`, `level`, `Corr`,
    `MAE`. The change is from the same model and seed on the undamaged input, which is level 0, or
    the first level where there is no 0: mean over seeds, and min to max. Both panels have the same
    scale; the axis of MAE is upside down. The legend has the means on the undamaged input.

    Models are those of `MODEL_STYLES`. Levels are numbers, which get lines and bands, or names,
    which get points and bars in the order of the rows.
    """
    figure, axes = _figure(9.5, 3.5, 1, 2, title)
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
        _colour_modalities(ax.get_xticklabels())
        ax.legend(frameon=False, fontsize=8, title='undamaged input', title_fontsize=8)
    return figure


def learning_curve(scores: pd.DataFrame, title: str = '') -> Figure:
    """Corr of every model over the number of training sentences: mean over seeds, and min to max.

    `scores` has one row per (model, sentences, seed) and the columns `model`, `sentences`, `seed`,
    `Corr`. Models are those of `MODEL_STYLES`. Each step of the axis doubles the sentences.
    """
    figure, ax = _figure(7, 3.6, title=title)
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


def word_influence(
    utterances: Sequence[tuple[Sequence[str], np.ndarray, str]], title: str = ''
) -> Figure:
    """The words of a few utterances, and for each word a bar: how far it moved the score.

    `utterances` is a list of (words, influence (L,), caption); influence is in points of the score,
    positive where the word raised it. Each utterance is a row, of which at most the last 14 words
    are drawn; all rows have the same scale.
    """
    rows = [(words[-14:], np.asarray(moved)[-14:], text) for words, moved, text in utterances]
    largest = max([float(np.abs(moved).max(initial=0)) for _, moved, _ in rows] + [0.1])
    figure, axes = _figure(11, 0.4 + 1.35 * len(rows), len(rows), 1, title, squeeze=False)
    for ax, (words, moved, caption) in zip(axes[:, 0], rows, strict=True):
        ax.bar(range(len(words)), moved, width=0.8, color=np.where(moved < 0, LOWERS, RAISES))
        for i, (word, value) in enumerate(zip(words, moved, strict=True)):
            ax.text(i, -1.95 * largest, _without_formulas(word), ha='center', fontsize=8.5)
            if abs(value) >= 0.05:
                y, va = value + np.copysign(0.06 * largest, value), 'top' if value < 0 else 'bottom'
                ax.text(i, y, f'{value:+.2f}', fontsize=8, ha='center', va=va)
        ax.set(xlim=(-0.6, 13.6), ylim=(-2.0 * largest, 1.4 * largest), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.plot([-0.5, len(words) - 0.5], [0, 0], color='#999999', linewidth=0.8)
        ax.set_title(_without_formulas(caption), fontsize=9, loc='left')
    return figure


def calibration(predictions: dict[str, tuple[np.ndarray, np.ndarray]], title: str = '') -> Figure:
    """Mean prediction per class of the label (left), mean label per class of prediction (right).

    `predictions` is {model: (y_true, y_pred)}, arrays (N,), with models of `MODEL_STYLES`. Bars are
    standard errors; a class of fewer than 5 utterances is left out. On the right, a calibrated
    model lies on the diagonal.
    """
    figure, axes = _figure(9.5, 4.2, 1, 2, title)
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
