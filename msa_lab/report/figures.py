"""Every plot of the lab, one function each, which returns a matplotlib Figure.

The functions take arrays and plain values, and no model; those that compare models are defined in
`msa_lab.report.comparisons`. The first line of a docstring is also the text that the HTML page has
in place of the figure for readers who cannot see it: it says what the figure shows.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from msa_lab.data import MODALITIES
from msa_lab.report.comparisons import ablation, calibration, learning_curve, robustness
from msa_lab.report.drawing import (
    ACCENT,
    COLOURS,
    LOWERS,
    RAISES,
    SCORES,
    SPLIT_COLOURS,
    new_figure,
    without_formulas,
)

__all__ = [
    'ablation',
    'calibration',
    'confusion',
    'curves',
    'label_histogram',
    'layer_norm_statistics',
    'learning_curve',
    'length_histogram',
    'losses',
    'metric_traps',
    'predicted_against_true',
    'robustness',
    'utterance',
    'word_influence',
]


def label_histogram(labels: dict[str, np.ndarray], title: str = '') -> Figure:
    """Histogram of the labels of each split: the share of utterances in each class of Acc-7.

    `labels` is {split: (N,)}; the mean of each split is marked.
    """
    figure, axes = new_figure(9, 3, 1, len(labels), title, sharey=True, squeeze=False)
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
    figure, ax = new_figure(9, 3, title=title)
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
    figure, axes = new_figure(9.5, 6.2, 3, 1, title, sharex=True)
    for ax, modality in zip(axes, MODALITIES, strict=True):
        values = features[modality]
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
        values = values[:, np.argsort(values.argmax(axis=0), kind='stable')]
        style = dict(cmap='RdBu_r', vmin=-2.5, vmax=2.5, interpolation='nearest')
        image = ax.imshow(values.T, aspect='auto', **style)
        ax.set_ylabel(f'{modality}\n{values.shape[1]} features', color=COLOURS[modality])
        ax.set_yticks([])
    words = [without_formulas(word) for word in words]
    axes[-1].set_xticks(range(len(words)), words, rotation=45, ha='right', fontsize=9)
    axes[-1].set_xlabel('steps that are not padding')
    figure.colorbar(image, ax=axes, shrink=0.6, label='standardised value')
    return figure


def metric_traps() -> Figure:
    """The class that Acc-7 and Acc-5 give to a score, as functions of the score."""
    scores = np.linspace(-3.2, 3.2, 1281)
    figure, ax = new_figure(7, 2.8)
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
    figure, ax = new_figure(5.6, 5.2, title=title)
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
    figure, ax = new_figure(6, 5, title=title)
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
    figure, axes = new_figure(11, 3.5, 1, 3, title)
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


def layer_norm_statistics(
    before: dict[str, np.ndarray], after: dict[str, np.ndarray], title: str = ''
) -> Figure:
    """Histograms of the standard deviation within a step, before and after LayerNorm.

    `before` and `after` are {modality: (number of steps,)}.
    """
    figure, axes = new_figure(10, 2.8, 1, 3, title, squeeze=False)
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
    figure, axes = new_figure(9, 2.8, 1, 2)
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
    figure, axes = new_figure(11, 0.4 + 1.35 * len(rows), len(rows), 1, title, squeeze=False)
    for ax, (words, moved, caption) in zip(axes[:, 0], rows, strict=True):
        ax.bar(range(len(words)), moved, width=0.8, color=np.where(moved < 0, LOWERS, RAISES))
        for i, (word, value) in enumerate(zip(words, moved, strict=True)):
            ax.text(i, -1.95 * largest, without_formulas(word), ha='center', fontsize=8.5)
            if abs(value) >= 0.05:
                y, va = value + np.copysign(0.06 * largest, value), 'top' if value < 0 else 'bottom'
                ax.text(i, y, f'{value:+.2f}', fontsize=8, ha='center', va=va)
        ax.set(xlim=(-0.6, 13.6), ylim=(-2.0 * largest, 1.4 * largest), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.plot([-0.5, len(words) - 0.5], [0, 0], color='#999999', linewidth=0.8)
        ax.set_title(without_formulas(caption), fontsize=9, loc='left')
    return figure
