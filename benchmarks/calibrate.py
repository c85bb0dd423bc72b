"""Measure a stand-in against its targets and print the table (`make calibrate`).

The baseline, and the baseline with one modality, are trained with several training seeds on files
of several data seeds, in one single-threaded process for each core; for `synthetic` also a bag of
words. The tables are kept in `docs/stand-ins.md`. Every number is about a stand-in. What is
simulated is calibrated on these rows alone, never on how far the improved model is ahead of the
baseline; the text of `reviews` is what it is.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import msa_utils
from msa_lab.data import SPLITS, load_split
from msa_lab.data.ratings import human_rows
from msa_lab.data.reviews import write_reviews
from msa_lab.data.reviews.build import Settings as ReviewsSettings
from msa_lab.data.synthetic import Settings as SyntheticSettings
from msa_lab.data.synthetic import World, write_standin
from msa_lab.data.voice_and_face import SENTIMENT_SCALE
from msa_lab.models import masked_mean
from msa_lab.speed import read_padding_once
from msa_lab.study import set_seed


class BagOfWords(nn.Module):
    """A text model without word order: the mean of the words, one hidden layer, a score (B, 1)."""

    def __init__(self):
        super().__init__()
        self.norm, self.hidden, self.fc = nn.LayerNorm(300), nn.Linear(300, 128), nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        mean = masked_mean(self.norm(text), padding=~text.any(-1))  # (B, 300)
        return 6 * torch.sigmoid(self.fc(torch.relu(self.hidden(mean)))) - 3


MODELS = {
    'all': msa_utils.AblationModel,  # the baseline
    'text': partial(msa_utils.AblationModel, modalities=('text',)),
    'audio': partial(msa_utils.AblationModel, modalities=('audio',)),
    'vision': partial(msa_utils.AblationModel, modalities=('vision',)),
    'words': BagOfWords,
}


class Training(NamedTuple):
    """What one training gave: the history, the test metrics and the test predictions (N,)."""

    history: list
    metrics: dict
    predictions: np.ndarray


def train_once(name, path, seed, epochs):
    """Train one of the `MODELS` on the file `path` and test it; a `Training`."""
    torch.set_num_threads(1)
    set_seed(seed)
    model, criterion = MODELS[name](), nn.MSELoss()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = f'{folder}/best.pth'
        with read_padding_once(model):
            history = msa_utils.fit(
                model, path, criterion, epochs=epochs, checkpoint=checkpoint, quiet=True
            )
        metrics, predictions = msa_utils.evaluate_test_split(
            model, path, criterion, checkpoint, quiet=True
        )
    return Training(history, metrics, predictions['y_pred'].to_numpy())


def oracle(story, settings):
    """An estimate of the sentiment (N,) by one who knows how the utterances were generated.

    `story` is the `LatentVariables` of a split. The estimate is the posterior mean of the latent
    sentiment, taken as normal, given the noisy values of the sentiment words, with irony undone,
    and what voice and face hint at.
    """
    sign = np.where(story.ironic, -1, 1)[story.slot_owner]
    precision = np.full(len(story.latent), 1 / story.latent.var())
    total = np.zeros(len(story.latent))
    np.add.at(precision, story.slot_owner, 1 / settings.slot_noise**2)
    np.add.at(total, story.slot_owner, sign * story.slot_value / settings.slot_noise**2)
    noise = (SENTIMENT_SCALE * settings.affect_noise) ** 2
    precision += 2 / noise
    total += SENTIMENT_SCALE * story.affect.sum(axis=1) / noise
    return total / precision


def measure_synthetic(path, settings, runs):
    """The properties of one `synthetic` file, {row: value}.

    `path` is the file, `settings` the `Settings` that it was made with, `runs` the trainings on it,
    {(model, seed): `Training`}.
    """
    _, story = World(settings).split('test')
    labels = load_split(path, 'test').labels
    return {
        **measure_trainings(runs),
        **measure_overfitting(runs),
        **measure_story(runs, labels, story),
        'Corr of the oracle': np.corrcoef(oracle(story, settings), labels)[0, 1],
        **measure_file(path),
    }


def measure_reviews(path, settings, runs):
    """The properties of one `reviews` file, {row: value}; arguments as in `measure_synthetic`."""
    ratings = np.concatenate([load_split(path, name).ratings for name in SPLITS])
    people = human_rows(ratings, msa_utils.eval_mosi_regression, resamples=1)
    one_more = people.xs('mean', axis=1, level=1).loc['one more rater']
    return {
        **measure_trainings(runs),
        **{f'one more rater: {name}': one_more[name] for name in HUMAN},
        **measure_file(path),
    }


def measure_trainings(runs):
    """The rows about the scores of trained models on the test split, means over training seeds."""

    def mean(model, metric):
        return np.mean([run.metrics[metric] for (name, _), run in runs.items() if name == model])

    main_metrics = ('Non0_acc_2', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr')
    return {
        **{metric: mean('all', metric) for metric in main_metrics},
        'Corr, all modalities - text only': mean('all', 'Corr') - mean('text', 'Corr'),
        'Corr, audio only': mean('audio', 'Corr'),
        'Corr, vision only': mean('vision', 'Corr'),
    }


def measure_overfitting(runs):
    """The rows about the losses of the baseline."""
    histories = [run.history for (name, _), run in runs.items() if name == 'all']
    return {
        'training MSE in epoch 12': np.mean([h[11]['train_loss'] for h in histories]),
        'lowest validation MSE after epoch 3': np.mean(
            [min(record['valid_loss'] for record in h[3:]) for h in histories]
        ),
    }


def measure_story(runs, labels, story):
    """The rows about negation and irony; `labels` (N,) and `story` are those of the test split."""

    def mean_error(model, rows):
        predictions = [run.predictions for (name, _), run in runs.items() if name == model]
        return np.mean([np.abs(y_pred - labels)[rows].mean() for y_pred in predictions])

    return {
        'negated: MAE, bag of words - text LSTM': (
            mean_error('words', story.negated) - mean_error('text', story.negated)
        ),
        'ironic: MAE, text only - all modalities': (
            mean_error('text', story.ironic) - mean_error('all', story.ironic)
        ),
        'ironic, share of the test split': story.ironic.mean(),
    }


def measure_file(path):
    """The rows about the labels, the lengths and the damage in a file."""
    splits = [load_split(path, name) for name in SPLITS]
    labels = np.concatenate([split.labels for split in splits])
    training = splits[0]
    face, word = training.vision.any(-1), training.text.any(-1)  # (N, T), True where there is one
    return {
        'label mean': labels.mean(),
        'label sd': labels.std(),
        'labels exactly 0': np.mean(labels == 0),
        'mean length': np.concatenate([split.lengths for split in splits]).mean(),
        'bad cells in training audio': training.repaired['audio'],
        'frames without a face': (~face & word).sum() / word.sum(),
        'utterances without a face': (~face.any(1)).mean(),
    }


# The target of each row: (low, high), where None is no bound, or a condition in words.
SYNTHETIC = {
    'Non0_acc_2': (0.69, 0.77),
    'Mult_acc_5': (0.31, 0.40),
    'Mult_acc_7': (0.27, 0.36),
    'MAE': (1.00, 1.15),
    'Corr': (0.50, 0.62),
    'training MSE in epoch 12': (None, 0.3),
    'lowest validation MSE after epoch 3': (1.5, None),
    'Corr, all modalities - text only': (-0.06, 0.06),
    'Corr, audio only': (0.10, 0.30),
    'Corr, vision only': (0.10, 0.30),
    'negated: MAE, bag of words - text LSTM': 'mean over data seeds > 0',
    'ironic: MAE, text only - all modalities': 'mean over data seeds > 0',
    'ironic, share of the test split': (0.05, 0.08),
    'Corr of the oracle': (0.75, 0.85),
    'label mean': (0.1, 0.3),
    'label sd': (1.5, 1.7),
    'labels exactly 0': (0.03, 0.06),
    'mean length': (11, 14),
    'bad cells in training audio': (40, 60),
    'frames without a face': (0.01, 0.09),
    'utterances without a face': (0.01, 0.09),
}
HUMAN = ('Non0_acc_2', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr')
REVIEWS = {
    'Non0_acc_2': (0.69, 0.77),
    'MAE': (0.90, 1.15),
    'Corr': (0.50, 0.62),
    'Corr, all modalities - text only': (-0.06, 0.06),
    'Corr, audio only': (0.10, 0.30),
    'Corr, vision only': (0.10, 0.30),
    **{
        f'one more rater: {name}': (value - 0.01, value + 0.01)
        for name, value in zip(HUMAN, (0.923, 0.602, 0.554, 0.601, 0.873), strict=True)
    },
    'label mean': (-0.1, 0.1),
    'label sd': (1.5, 1.7),
    'labels exactly 0': (0.005, 0.03),
    'bad cells in training audio': (40, 60),
    'frames without a face': (0.01, 0.09),
    'utterances without a face': (0.01, 0.09),
}


class Calibration(NamedTuple):
    """What is measured of a stand-in: how it is written, its models, its rows and their targets."""

    write: Callable
    settings: type
    models: Sequence[str]
    measure: Callable
    targets: dict
    data_seeds: Sequence[int]  # the first is the lab's


CALIBRATIONS = {
    'reviews': Calibration(
        write_reviews,
        ReviewsSettings,
        ('all', 'text', 'audio', 'vision'),
        measure_reviews,
        REVIEWS,
        (1, 0, 2),
    ),
    'synthetic': Calibration(
        write_standin, SyntheticSettings, tuple(MODELS), measure_synthetic, SYNTHETIC, (0, 1, 2)
    ),
}


def verdict(target, values):
    """Whether the values of the data seeds, in their order, are as the target of a row wants them.

    The first value must lie in the target, the others in a band of the same centre that is twice
    as wide; a target with one bound is the same for all.
    """
    if isinstance(target, str):
        return np.mean(values) > 0
    low, high = target
    slack = 0 if low is None or high is None else (high - low) / 2
    slacks = [0] + [slack] * (len(values) - 1)
    return all(
        (low is None or value >= low - extra) and (high is None or value <= high + extra)
        for value, extra in zip(values, slacks, strict=True)
    )


def report(measured, targets):
    """The table in Markdown, a row for each target; `measured` is {data seed: {row: value}}."""
    lines = [
        '| property | target | ' + ' | '.join(f'data seed {s}' for s in measured) + ' | holds |',
        '| --- ' * (len(measured) + 3) + '|',
    ]
    for row, target in targets.items():
        values = [table[row] for table in measured.values()]
        text = target
        if not isinstance(target, str):
            low, high = target
            text = (
                f'< {high}'
                if low is None
                else f'>= {low}'
                if high is None
                else f'{low:.4g} to {high:.4g}'
            )
        cells = ' | '.join(f'{value:.3f}' if value < 40 else f'{value:.0f}' for value in values)
        lines.append(f'| {row} | {text} | {cells} | {"yes" if verdict(target, values) else "NO"} |')
    return '\n'.join(lines)


def calibrate(calibration, data_seeds, seeds, epochs, changes):
    """Train and measure on a file of every data seed; returns {data seed: {row: value}}."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {seed: Path(folder, f'standin{seed}.pkl') for seed in data_seeds}
        for seed, path in paths.items():
            calibration.write(path, seed=seed, **changes)
        jobs = list(product(data_seeds, calibration.models, seeds))
        trainings = joblib.Parallel(n_jobs=-1, return_as='generator')(
            joblib.delayed(train_once)(model, paths[data_seed], seed, epochs)
            for data_seed, model, seed in jobs
        )
        results = dict(zip(jobs, tqdm(trainings, total=len(jobs)), strict=True))
        measured = {}
        for data_seed, path in paths.items():
            runs = {job[1:]: result for job, result in results.items() if job[0] == data_seed}
            settings = calibration.settings(seed=data_seed, **changes)
            measured[data_seed] = calibration.measure(path, settings, runs)
    return measured


def main():
    """Measure and print; `make calibrate` takes the defaults."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('standin', nargs='?', choices=CALIBRATIONS, default='reviews')
    parser.add_argument('--data-seeds', type=int, nargs='+', help="the first is the lab's")
    parser.add_argument('--seeds', type=int, nargs='+', default=[42, 43, 44])
    parser.add_argument('--epochs', type=int, default=20, help='at least 12')
    parser.add_argument(
        '--set', nargs='*', default=[], metavar='NAME=VALUE', help='other settings of the stand-in'
    )
    args = parser.parse_args()
    calibration = CALIBRATIONS[args.standin]
    types = {field.name: type(field.default) for field in fields(calibration.settings)}
    pairs = [pair.split('=') for pair in args.set]
    changes = {name: types[name](value) for name, value in pairs}
    data_seeds = args.data_seeds or calibration.data_seeds
    measured = calibrate(calibration, data_seeds, args.seeds, args.epochs, changes)
    print(report(measured, calibration.targets))


if __name__ == '__main__':
    main()
