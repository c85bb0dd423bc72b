"""Measure the stand-in against its targets (`make calibrate`) and print the table.

Trains the baseline, its single modalities and a bag of words, each over several training seeds,
on several data seeds; one single-threaded process per core. Every number is about the synthetic
stand-in. The generator is calibrated on these rows alone, never on how far a better model wins.
"""

import argparse
import tempfile
from dataclasses import fields
from functools import partial
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

import msa_utils
from msa_lab.data import SPLITS, load_split
from msa_lab.data.synthetic import LATENT_SCALE, Settings, World, write_standin


class BagOfWords(nn.Module):
    """A text model that cannot see word order: mean of the true steps, one hidden layer."""

    def __init__(self):
        super().__init__()
        self.norm, self.hidden, self.fc = nn.LayerNorm(300), nn.Linear(300, 128), nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        spoken = text.any(-1, keepdim=True)  # (B, T, 1)
        mean = (self.norm(text) * spoken).sum(1) / spoken.sum(1).clamp(min=1)
        return 6 * torch.sigmoid(self.fc(torch.relu(self.hidden(mean)))) - 3


MODELS = {
    'all': msa_utils.MultimodalSentimentAnalysisModel,
    'text': partial(msa_utils.AblationModel, modalities=('text',)),
    'audio': partial(msa_utils.AblationModel, modalities=('audio',)),
    'vision': partial(msa_utils.AblationModel, modalities=('vision',)),
    'words': BagOfWords,
}


def train_once(name, path, seed, epochs):
    """One training as in `main`; returns history, test metrics and test predictions (N,)."""
    torch.set_num_threads(1)
    msa_utils.set_seed(seed)
    model, criterion = MODELS[name](), nn.MSELoss()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = f'{folder}/best.pth'
        history = msa_utils.fit(
            model, criterion, path, epochs=epochs, checkpoint=checkpoint, quiet=True
        )
        _, metrics, y_pred, _ = msa_utils.evaluate_test_split(
            model, checkpoint, path, criterion, msa_utils.default_device(), quiet=True
        )
    return history, metrics, y_pred.numpy()


def oracle(story, settings):
    """Posterior mean of the latent sentiment for one who knows the story (linear-Gaussian)."""
    n = len(story.latent)
    sign = np.where(story.ironic, -1, 1)
    precision = np.full(n, 1 / story.latent.var())
    total = np.zeros(n)
    np.add.at(precision, story.slot_owner, 1 / settings.slot_noise**2)
    np.add.at(
        total, story.slot_owner, sign[story.slot_owner] * story.slot_value / settings.slot_noise**2
    )
    noise = (LATENT_SCALE * settings.affect_noise) ** 2
    precision += 2 / noise
    total += LATENT_SCALE * story.affect.sum(axis=1) / noise
    return total / precision


def mean_error(runs, model, labels, rows):
    """Mean absolute error of a model on some utterances, over its training seeds."""
    predictions = [pred for (name, _), (_, _, pred) in runs.items() if name == model]
    return np.mean([np.abs(pred - labels)[rows].mean() for pred in predictions])


def measure(path, world, runs):
    """The properties of one stand-in, {row: value}; `runs` is {(model, seed): `train_once`}."""
    test, (_, story) = load_split(path, 'test'), world.split('test')
    splits = [load_split(path, name) for name in SPLITS]
    labels = np.concatenate([split.labels for split in splits])
    face = splits[0].vision.any(-1)
    spoken = splits[0].text.any(-1)

    def mean(model, key):
        return np.mean(
            [metrics[key] for (name, _), (_, metrics, _) in runs.items() if name == model]
        )

    histories = [history for (name, _), (history, _, _) in runs.items() if name == 'all']
    corr = mean('all', 'Corr')
    return {
        **{key: mean('all', key) for key in ('Non0_acc_2', 'Mult_acc_5', 'Mult_acc_7', 'MAE')},
        'Corr': corr,
        'training MSE in epoch 12': np.mean([h[11]['train_loss'] for h in histories]),
        'lowest validation MSE after epoch 3': np.mean(
            [min(record['valid_loss'] for record in h[3:]) for h in histories]
        ),
        'Corr, all modalities - text only': corr - mean('text', 'Corr'),
        'Corr, audio only': mean('audio', 'Corr'),
        'Corr, vision only': mean('vision', 'Corr'),
        'negated: MAE, bag of words - text LSTM': (
            mean_error(runs, 'words', test.labels, story.negated)
            - mean_error(runs, 'text', test.labels, story.negated)
        ),
        'ironic: MAE, text only - all modalities': (
            mean_error(runs, 'text', test.labels, story.ironic)
            - mean_error(runs, 'all', test.labels, story.ironic)
        ),
        'ironic, share of the test split': story.ironic.mean(),
        'Corr of the oracle': np.corrcoef(oracle(story, world.settings), test.labels)[0, 1],
        'label mean': labels.mean(),
        'label sd': labels.std(),
        'labels exactly 0': np.mean(labels == 0),
        'mean length': np.concatenate([split.lengths for split in splits]).mean(),
        'bad cells in training audio': splits[0].repaired['audio'],
        'frames without a face': (~face & spoken).sum() / spoken.sum(),
        'utterances without a face': (~face.any(1)).mean(),
    }


# Row: the target of DESIGN section 5, (low, high); None is no bound.
TARGETS = {
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


def verdict(target, values):
    """Whether the first data seed is inside the target, and the others inside twice its width."""
    if isinstance(target, str):
        return np.mean(values) > 0
    low, high = target
    slack = 0 if low is None or high is None else (high - low) / 2
    slacks = [0] + [slack] * (len(values) - 1)
    return all(
        (low is None or value >= low - extra) and (high is None or value <= high + extra)
        for value, extra in zip(values, slacks, strict=True)
    )


def report(measured):
    """The table in Markdown: `measured` is {data seed: {row: value}}."""
    lines = [
        '| property | target | ' + ' | '.join(f'data seed {s}' for s in measured) + ' | holds |',
        '| --- ' * (len(measured) + 3) + '|',
    ]
    for row, target in TARGETS.items():
        values = [table[row] for table in measured.values()]
        text = target
        if not isinstance(target, str):
            low, high = target
            text = (
                f'< {high}' if low is None else f'>= {low}' if high is None else f'{low} to {high}'
            )
        cells = ' | '.join(f'{value:.3f}' if value < 40 else f'{value:.0f}' for value in values)
        lines.append(f'| {row} | {text} | {cells} | {"yes" if verdict(target, values) else "NO"} |')
    return '\n'.join(lines)


def main():
    """Measure and print; the defaults are the ones of `make calibrate`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--seeds', type=int, nargs='+', default=[42, 43, 44])
    parser.add_argument('--epochs', type=int, default=20, help='at least 12')
    parser.add_argument(
        '--set', nargs='*', default=[], metavar='NAME=VALUE', help='other settings of the world'
    )
    args = parser.parse_args()
    types = {field.name: type(field.default) for field in fields(Settings)}
    pairs = [pair.split('=') for pair in args.set]
    changes = {name: types[name](value) for name, value in pairs}

    with tempfile.TemporaryDirectory() as folder:
        paths = {seed: Path(folder, f'standin{seed}.pkl') for seed in args.data_seeds}
        for seed, path in paths.items():
            write_standin(path, seed=seed, **changes)
        jobs = list(product(args.data_seeds, MODELS, args.seeds))
        trainings = joblib.Parallel(n_jobs=-1, return_as='generator')(
            joblib.delayed(train_once)(model, paths[data_seed], seed, args.epochs)
            for data_seed, model, seed in jobs
        )
        results = dict(zip(jobs, tqdm(trainings, total=len(jobs)), strict=True))
        measured = {}
        for data_seed, path in paths.items():
            runs = {job[1:]: result for job, result in results.items() if job[0] == data_seed}
            measured[data_seed] = measure(path, World(Settings(seed=data_seed, **changes)), runs)
    print(report(measured))


if __name__ == '__main__':
    main()
