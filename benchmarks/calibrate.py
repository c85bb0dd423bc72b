"""Measure the stand-in against its targets (`make calibrate`) and print the table.

Trains the baseline, its single modalities and a bag of words, each over several training seeds,
on several data seeds; one single-threaded process per core. Every number is about the synthetic
stand-in. The generator is calibrated on these rows alone, never on how far a better model wins.
"""

import argparse
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from tqdm import tqdm

import msa_utils
from msa_lab.data import SPLITS, load_split
from msa_lab.standin import LATENT_SCALE, SLOT_NOISE, Settings, World, write_standin


class OneModality(msa_utils.MultimodalSentimentAnalysisModel):
    """The baseline with one of its three streams: (B, T, width) x 3 -> (B, 1)."""

    def __init__(self, modality):
        super().__init__()
        self.modality = modality

    def forward(self, vision, text, audio):
        features = dict(vision=vision, text=text, audio=audio)[self.modality]
        normed = getattr(self, f'{self.modality}_norm')(features)
        hidden = torch.relu(getattr(self, f'{self.modality}_fc')(normed))
        sequence, _ = getattr(self, f'{self.modality}_lstm')(hidden)
        _, (hidden, _) = self.mm_lstm(sequence)
        return 6 * torch.sigmoid(self.fc(hidden[-1])) - 3


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
    'text': lambda: OneModality('text'),
    'audio': lambda: OneModality('audio'),
    'vision': lambda: OneModality('vision'),
    'words': BagOfWords,
}


def train_once(name, path, seed, epochs):
    """One training as in `main`; returns history, test metrics and test predictions (N,)."""
    torch.set_num_threads(1)
    msa_utils.set_seed(seed)
    model, criterion = MODELS[name](), nn.MSELoss()
    train, valid = (msa_utils.make_loader(path, split) for split in ('train', 'valid'))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(train))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = f'{folder}/best.pth'
        history = msa_utils.train_model(
            model, train, valid, criterion, optimizer, scheduler, 'cpu', epochs,
            checkpoint=checkpoint, quiet=True,
        )  # fmt: skip
        _, metrics, y_pred, _ = msa_utils.evaluate_test_split(
            model, checkpoint, path, criterion, 'cpu', quiet=True
        )
    return history, metrics, y_pred.numpy()


def oracle(story):
    """Posterior mean of the latent sentiment for one who knows the story (linear-Gaussian)."""
    n = len(story.latent)
    sign = np.where(story.ironic, -1, 1)
    precision = np.full(n, 1 / story.latent.var())
    total = np.zeros(n)
    np.add.at(precision, story.slot_owner, 1 / SLOT_NOISE**2)
    np.add.at(total, story.slot_owner, sign[story.slot_owner] * story.slot_value / SLOT_NOISE**2)
    noise = (LATENT_SCALE * Settings().affect_noise) ** 2
    precision += 2 / noise
    total += LATENT_SCALE * story.affect.sum(axis=1) / noise
    return total / precision


def correlation(a, b):
    """Pearson's r of two arrays (N,)."""
    return float(np.corrcoef(a, b)[0, 1])


def measure(path, world, runs):
    """All properties of one stand-in: {row: value}; `runs` maps (model, seed) to `train_once`."""
    test = load_split(path, 'test')
    _, story = world.split('test')
    groups = {'negated': story.negated, 'ironic': story.ironic}

    def mean(model, key):
        return np.mean([key(*run) for (name, _), run in runs.items() if name == model])

    def on(group):
        rows = groups[group]
        return lambda history, metrics, pred: np.abs(pred - test.labels)[rows].mean()

    values = {
        name: mean('all', lambda h, m, p, name=name: m[name])
        for name in ('Non0_acc_2', 'Mult_acc_5', 'Mult_acc_7', 'MAE', 'Corr')
    }
    values['training MSE at epoch 12'] = mean('all', lambda h, m, p: h[11]['train_loss'])
    values['lowest validation MSE after epoch 3'] = mean(
        'all', lambda h, m, p: min(r['valid_loss'] for r in h[3:])
    )
    for name in ('text', 'audio', 'vision', 'words'):
        if any(model == name for model, _ in runs):
            values[f'{name} only: Corr'] = mean(name, lambda h, m, p: m['Corr'])
    values['all - text: Corr'] = values['Corr'] - values['text only: Corr']
    values['negated: MAE of words - MAE of text'] = mean('words', on('negated')) - mean(
        'text', on('negated')
    )
    values['ironic: MAE of text - MAE of all'] = mean('text', on('ironic')) - mean(
        'all', on('ironic')
    )
    values['oracle: Corr'] = correlation(oracle(story), test.labels)
    splits = [load_split(path, s) for s in SPLITS]
    labels = np.concatenate([s.labels for s in splits])
    values['label mean'], values['label sd'] = labels.mean(), labels.std()
    values['share of exact zeros'] = np.mean(labels == 0)
    values['mean length'] = np.concatenate([s.lengths for s in splits]).mean()
    values['share of ironic'] = story.ironic.mean()
    values['share of negated'] = story.negated.mean()
    return values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data-seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--seeds', type=int, nargs='+', default=[42, 43, 44])
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--models', nargs='+', default=list(MODELS))
    parser.add_argument('--set', nargs='*', default=[])
    args = parser.parse_args()
    changes = {k: float(v) for k, v in (s.split('=') for s in args.set)}

    with tempfile.TemporaryDirectory() as folder:
        paths = {s: Path(folder, f'standin{s}.pkl') for s in args.data_seeds}
        for s, path in paths.items():
            write_standin(path, seed=s, **changes)
        jobs = [(d, m, s) for d in args.data_seeds for m in args.models for s in args.seeds]
        results = joblib.Parallel(n_jobs=-1, return_as='generator')(
            joblib.delayed(train_once)(m, paths[d], s, args.epochs) for d, m, s in jobs
        )
        results = dict(zip(jobs, tqdm(results, total=len(jobs)), strict=True))
        table = {}
        for d in args.data_seeds:
            runs = {(m, s): results[d, m, s] for m in args.models for s in args.seeds}
            world = World(Settings(seed=d, **changes))
            table[f'seed {d}'] = measure(paths[d], world, runs)
    print(pd.DataFrame(table).round(3).to_string())


if __name__ == '__main__':
    main()
