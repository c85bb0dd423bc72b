"""Every plot of the lab, one function each; each returns a matplotlib Figure.

Colours mean the same thing in every figure: one colour per modality, one per split, all
distinguishable for colour-blind readers. Functions take arrays and plain values, no model.
"""

import numpy as np
from matplotlib.figure import Figure

from msa_lab.data import MODALITIES

COLOURS = {'vision': '#0072B2', 'text': '#D55E00', 'audio': '#009E73'}
SPLIT_COLOURS = {'train': '#4D4D4D', 'valid': '#CC79A7', 'test': '#E69F00'}
ACCENT = '#6A51A3'
MODEL_STYLES = {  # one colour and marker per model, in every figure
    'baseline': ('#4D4D4D', 'o-'),
    'TFN': ('#E69F00', 's--'),
    'better model': (ACCENT, 'D-'),
}
SCORES = np.arange(-3, 4)


def _figure(width, height, rows=1, columns=1, title='', **kwargs):
    """A Figure of that size in inches and its axes, without the frame lines nobody reads."""
    figure = Figure(figsize=(width, height), layout='constrained', dpi=100)
    axes = figure.subplots(rows, columns, **kwargs)
    for ax in np.ravel(axes):
        ax.spines[['top', 'right']].set_visible(False)
    if title:
        figure.suptitle(_plain(title), fontsize=11)
    return figure, axes


def _plain(text):
    """Text of a data file as matplotlib shows it unchanged: a `$` there begins no formula."""
    return text.replace('$', r'\$')


def _colour_modalities(labels):
    """Tick labels that name a modality get its colour."""
    for label in labels:
        label.set_color(COLOURS.get(label.get_text(), 'black'))


def label_histogram(labels, title=''):
    """Histograms of labels {split: (N,)}: one bin per class of Acc-7, as shares of the split."""
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


def length_histogram(lengths, steps, title=''):
    """How many of the `steps` positions are not padding, `lengths` {split: (N,)}."""
    figure, ax = _figure(9, 3, title=title)
    edges = np.arange(0.5, steps + 1.5, 2)
    for split, values in lengths.items():
        weights = np.full(len(values), 1 / len(values))
        label = f'{split}: mean {values.mean():.1f}, median {np.median(values):.0f}'
        ax.hist(values, edges, weights=weights, histtype='stepfilled', alpha=0.25,
                color=SPLIT_COLOURS[split])  # fmt: skip
        ax.hist(values, edges, weights=weights, histtype='step', linewidth=1.6,
                color=SPLIT_COLOURS[split], label=label)  # fmt: skip
    ax.set(xlabel=f'true length in words (of {steps} steps)', ylabel='share of utterances')
    ax.set_xlim(0, steps + 1)
    ax.legend(frameon=False)
    return figure


def utterance(features, words, title=''):
    """One utterance across its modalities on a common time axis.

    `features` is {modality: (L, width)}, the L true steps; `words` the L words (or step numbers).
    Colours show each feature standardised over the steps, clipped at 2.5 standard deviations;
    features are ordered by the step at which they peak, so that what moves together is seen.
    """
    figure, axes = _figure(9.5, 6.2, 3, 1, title, sharex=True)
    for ax, modality in zip(axes, MODALITIES, strict=True):
        values = features[modality]
        spread = values.std(axis=0)
        values = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
        values = values[:, np.argsort(values.argmax(axis=0), kind='stable')]
        image = ax.imshow(values.T, aspect='auto', cmap='RdBu_r', vmin=-2.5, vmax=2.5,
                          interpolation='nearest')  # fmt: skip
        ax.set_ylabel(f'{modality}\n{values.shape[1]} features', color=COLOURS[modality])
        ax.set_yticks([])
    words = [*map(_plain, words)]
    axes[-1].set_xticks(range(len(words)), words, rotation=45, ha='right', fontsize=9)
    axes[-1].set_xlabel('steps that are not padding')
    figure.colorbar(image, ax=axes, shrink=0.6, label='standardised value')
    return figure


def metric_traps():
    """Where rounding and clipping put a score: class of Acc-7 and Acc-5 as functions of it."""
    scores = np.linspace(-3.2, 3.2, 1281)
    figure, ax = _figure(7, 2.8)
    for limit, colour, shift in ((3, ACCENT, 0.0), (2, '#999999', 0.06)):
        classes = np.round(np.clip(scores, -limit, limit))
        ax.plot(scores, classes + shift, color=colour, label=f'Acc-{2 * limit + 1}')
    halves = np.arange(-2.5, 3)
    ax.plot(halves, np.round(halves), 'o', color='black', markersize=4,
            label='halves go to the even class')  # fmt: skip
    ax.set(xlabel='score', ylabel='class', xticks=SCORES, yticks=SCORES)
    ax.legend(frameon=False, fontsize=9)
    return figure


def predicted_against_true(y_true, y_pred, title=''):
    """Scatter of predictions over labels (N,), with the diagonal and the mean per label bin."""
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


def confusion(y_true, y_pred, title=''):
    """Seven-class confusion matrix: rows true classes (each sums to 100%), columns predicted."""
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


def curves(scalars, best_epoch=None, floor=None, title=''):
    """What TensorBoard shows of one training: both losses, validation Corr, learning rate.

    `scalars` is {(sub-directory, tag): (steps, values)} as `logs.read_scalars` returns it.
    `best_epoch`, counted from 1, is marked; `floor` is the loss of a constant prediction.
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


def ablation(results, summary, baseline, metric='valid_Corr', title=''):
    """Every run of every experiment as a point, the baseline's mean as a line.

    A whisker is the 95% interval of the paired difference, drawn from the baseline's mean: where
    it does not touch the line, the interval leaves out zero. Experiments run from top to bottom.
    """
    names = list(summary.index)
    figure, ax = _figure(9, 1.3 + 0.42 * len(names), title=title)
    base = summary.loc[baseline, (metric, 'mean')]
    ax.axvline(base, color='#999999', linestyle='--', linewidth=1, label=f'mean of {baseline}')
    for row, name in enumerate(names):
        points = results.loc[results['experiment'] == name, metric]
        ax.plot(points, [row] * len(points), 'o', color=ACCENT, alpha=0.55, markersize=6,
                label='one seed' if row == 0 else None)  # fmt: skip
        low, high = (
            base + summary.loc[name, (metric, 'low')],
            base + summary.loc[name, (metric, 'high')],
        )
        if name != baseline and np.isfinite(low):
            ax.plot([low, high], [row + 0.25] * 2, '|-', color='black', linewidth=1.2,
                    label='95% interval of the difference' if row == 1 else None)  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    _colour_modalities(ax.get_yticklabels())
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlabel(metric.replace('valid_', 'validation ').replace('test_', 'test '))
    figure.legend(frameon=False, fontsize=8, loc='outside lower center', ncols=3)
    return figure


def layer_norm_statistics(before, after, title=''):
    """Standard deviation within a step, before and after LayerNorm, {modality: (steps,)}."""
    figure, axes = _figure(10, 2.8, 1, 3, title, squeeze=False)
    for ax, modality in zip(axes[0], MODALITIES, strict=True):
        edges = np.linspace(0, max(before[modality].max(), after[modality].max()) * 1.02, 40)
        ax.hist(before[modality], edges, color='#BBBBBB', label='before')
        ax.hist(after[modality], edges, color=COLOURS[modality], alpha=0.8, label='after')
        ax.set(xlabel=f'{modality}: sd within a step', yscale='log')
        ax.legend(frameon=False, fontsize=8)
    axes[0, 0].set_ylabel('steps')
    return figure


def losses(delta=1.0):
    """The three regression losses and their slopes as functions of the error."""
    error = np.linspace(-3, 3, 601)
    inside = np.abs(error) <= delta
    huber = np.where(inside, error**2 / 2, delta * (np.abs(error) - delta / 2))
    figure, axes = _figure(9, 2.8, 1, 2)
    for name, value, slope, style in (
        ('MSE', error**2, 2 * error, '-'),
        ('MAE', np.abs(error), np.sign(error), '--'),
        (f'Huber, delta = {delta:g}', huber, np.clip(error, -delta, delta), '-.'),
    ):
        axes[0].plot(error, value, style, label=name)
        axes[1].plot(error, slope, style, label=name)
    axes[0].set(xlabel='error: prediction - label', ylabel='loss', ylim=(0, 6))
    axes[1].set(xlabel='error: prediction - label', ylabel='slope of the loss')
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def robustness(scores, xlabel, title=''):
    """Test Corr and MAE of every model as its input gets worse: mean over seeds, and min to max.

    `scores` has one row per (model, seed, level): columns `model`, `level`, `Corr`, `MAE`; the
    levels are numbers, or names that are drawn in their order; the models are those that
    MODEL_STYLES knows.
    """
    figure, axes = _figure(9.5, 3.3, 1, 2, title)
    levels = list(scores['level'].unique())
    numeric = all(isinstance(level, (int, float)) for level in levels)
    names = list(scores['model'].unique())
    for i, name in enumerate(names):
        colour, style = MODEL_STYLES[name]
        own = scores[scores['model'] == name].groupby('level', sort=False)
        for ax, metric in zip(axes, ('Corr', 'MAE'), strict=True):
            low, mean, high = (own[metric].agg(part).loc[levels] for part in ('min', 'mean', 'max'))
            if numeric:
                ax.fill_between(levels, low, high, color=colour, alpha=0.15, linewidth=0)
                ax.plot(levels, mean, style, color=colour, label=name, markersize=5)
            else:  # names have no order to draw a line through
                x = np.arange(len(levels)) + 0.12 * (i - (len(names) - 1) / 2)
                ax.errorbar(x, mean, [mean - low, high - mean], fmt=style[0], color=colour,
                            label=name, markersize=5, capsize=2)  # fmt: skip
    x = levels if numeric else range(len(levels))
    for ax, name in zip(axes, ('test Corr (higher is better)', 'test MAE (lower is better)'),
                        strict=True):  # fmt: skip
        ax.set(xlabel=xlabel, ylabel=name)
        ax.set_xticks(x, [f'{level:g}' for level in levels] if numeric else levels)
        _colour_modalities(ax.get_xticklabels())
    axes[0].axhline(0, color='black', linewidth=0.6)
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def attention(utterances, title=''):
    """The words of utterances, and under each the share of attention that it gets.

    `utterances` is a list of (words, weights (L,), caption); an utterance takes one row, and at
    most its last 14 words are shown.
    """
    figure, axes = _figure(11, 0.4 + 1.15 * len(utterances), len(utterances), 1, title,
                           squeeze=False)  # fmt: skip
    for ax, (words, weights, caption) in zip(axes[:, 0], utterances, strict=True):
        words, weights = words[-14:], np.asarray(weights)[-14:]
        ax.bar(range(len(words)), -weights, width=0.9, color=ACCENT)
        for i, (word, weight) in enumerate(zip(words, weights, strict=True)):
            ax.text(i, 0.06, _plain(word), ha='center', va='bottom', fontsize=8.5)
            if weight >= 0.05:
                inside = weight > 0.3
                ax.text(i, -weight + (0.03 if inside else -0.03), f'{weight:.0%}', fontsize=8,
                        ha='center', va='bottom' if inside else 'top',
                        color='white' if inside else 'black')  # fmt: skip
        ax.set(xlim=(-0.6, 13.6), ylim=(-1, 0.4), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.plot([-0.5, len(words) - 0.5], [0, 0], color='#999999', linewidth=0.8)
        ax.set_title(_plain(caption), fontsize=9, loc='left')
    return figure


def calibration(predictions, title=''):
    """Mean prediction per class of the label (left), mean label per class of prediction (right).

    `predictions` is {model: (y_true, y_pred)}, arrays (N,). Bars are standard errors; a class with
    fewer than 5 utterances is left out. On the right, a calibrated model lies on the diagonal.
    """
    figure, axes = _figure(9.5, 4.2, 1, 2, title)
    names = ('true score (rounded)', 'mean prediction'), ('prediction (rounded)', 'mean true score')
    for side, (ax, (xlabel, ylabel)) in enumerate(zip(axes, names, strict=True)):
        ax.plot([-3, 3], [-3, 3], color='black', linewidth=1, linestyle='--')
        for name, pair in predictions.items():
            colour, style = MODEL_STYLES[name]
            by, of = pair if side == 0 else pair[::-1]
            groups = {c: of[np.round(by) == c] for c in SCORES}
            groups = {c: values for c, values in groups.items() if len(values) >= 5}
            errors = [v.std(ddof=1) / np.sqrt(len(v)) for v in groups.values()]
            means = [v.mean() for v in groups.values()]
            ax.errorbar(list(groups), means, errors, fmt=style, color=colour, label=name,
                        markersize=5, capsize=2)  # fmt: skip
        ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), xticks=SCORES)
    axes[0].legend(frameon=False, fontsize=9)
    return figure
