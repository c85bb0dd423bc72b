"""A naive completion of the lab's contract, to measure against: plain, correct, unhurried.

Every split opens the pickle, every item is converted when it is asked for, the loss is read at
every step, and one training follows the other. Nothing here is used by the lab.
"""

import pickle
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from msa_utils import eval_mosi_regression

SPLITS = ('train', 'valid', 'test')


class NaiveDataset(Dataset):
    """One split, as arrays of the file's own type."""

    def __init__(self, data_path, split='train'):
        with open(data_path, 'rb') as file:
            data = pickle.load(file)[split]
        self.vision, self.text, self.audio = data['vision'], data['text'], data['audio']
        self.audio[np.isinf(self.audio)] = 0.0
        self.labels = data['labels'].reshape(-1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return (
            torch.tensor(self.vision[index], dtype=torch.float32),
            torch.tensor(self.text[index], dtype=torch.float32),
            torch.tensor(self.audio[index], dtype=torch.float32),
            torch.tensor(self.labels[index], dtype=torch.float32),
        )


class NaiveModel(nn.Module):
    """The baseline, with the two ablations that a naive completion makes by an `if`."""

    def __init__(self, modalities=('vision', 'text', 'audio'), layer_norm=True):
        super().__init__()
        self.modalities = modalities
        widths = {'vision': 35, 'text': 300, 'audio': 74}
        for name in modalities:
            norm = nn.LayerNorm(widths[name]) if layer_norm else nn.Identity()
            self.add_module(f'{name}_norm', norm)
            self.add_module(f'{name}_fc', nn.Linear(widths[name], 128))
            self.add_module(f'{name}_lstm', nn.LSTM(128, 128, batch_first=True))
        self.mm_lstm = nn.LSTM(128, 128, batch_first=True)
        self.fc = nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        features, total = {'vision': vision, 'text': text, 'audio': audio}, 0
        for name in self.modalities:
            x = getattr(self, f'{name}_norm')(features[name])
            x = torch.relu(getattr(self, f'{name}_fc')(x))
            total = total + getattr(self, f'{name}_lstm')(x)[0]
        _, (hidden, _) = self.mm_lstm(total)
        return 6 * torch.sigmoid(self.fc(hidden[-1])) - 3


def naive_loaders(data_path):
    """A loader for each split, {name: DataLoader}."""
    return {
        split: DataLoader(NaiveDataset(data_path, split), 16, shuffle=split == 'train')
        for split in SPLITS
    }


def naive_epoch(model, loader, criterion, optimizer, device='cpu', scheduler=None):
    """One pass over the training data; the mean loss."""
    model.train()
    total = 0.0
    for *features, label in loader:
        output = model(*(x.to(device) for x in features)).squeeze(-1)
        loss = criterion(output, label.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        total += loss.item()
    return total / len(loader)


def naive_evaluate(model, loader, criterion, device='cpu'):
    """The mean loss and the metrics on one split."""
    model.eval()
    total, outputs, labels = 0.0, [], []
    with torch.no_grad():
        for *features, label in loader:
            output = model(*(x.to(device) for x in features)).squeeze(-1)
            total += criterion(output, label.to(device)).item()
            outputs.append(output)
            labels.append(label)
    return total / len(loader), eval_mosi_regression(torch.cat(outputs), torch.cat(labels))


def naive_study(builds, seeds, loaders, epochs, device='cpu'):
    """{(name, seed): test metrics}, one after the other; `builds` is {name: (build, loss)}."""
    results = {}
    for name, (build, criterion) in builds.items():
        for seed in seeds:
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            model, best, state = build().to(device), -2.0, None
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            steps = epochs * len(loaders['train'])
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
            for _ in range(epochs):
                naive_epoch(model, loaders['train'], criterion, optimizer, device, scheduler)
                _, metrics = naive_evaluate(model, loaders['valid'], criterion, device)
                if metrics['Corr'] > best:
                    best = metrics['Corr']
                    state = {key: value.clone() for key, value in model.state_dict().items()}
            model.load_state_dict(state)
            _, results[name, seed] = naive_evaluate(model, loaders['test'], criterion, device)
    return results
