"""A naive completion of the lab's contract, to compare with: plain and correct, not fast.

Every split opens the pickle, every item is converted when it is asked for, the loss is read at
every step, and one training follows the other. The benchmarks measure the lab beside it, and the
test of parity asks for the same numbers, digit for digit.
"""

import math
import pickle
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from msa_lab.data import SPLITS, WIDTHS
from msa_utils import eval_mosi_regression


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
        for name in modalities:
            norm = nn.LayerNorm(WIDTHS[name]) if layer_norm else nn.Identity()
            self.add_module(f'{name}_norm', norm)
        for name in modalities:
            self.add_module(f'{name}_fc', nn.Linear(WIDTHS[name], 128))
        for name in (*modalities, 'mm'):
            self.add_module(f'{name}_lstm', nn.LSTM(128, 128, batch_first=True))
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


def naive_epoch(model, loader, criterion, optimizer, scheduler, device='cpu'):
    """One pass over the training data; the mean loss."""
    model.train()
    total = 0.0
    for *features, label in loader:
        output = model(*(x.to(device) for x in features)).squeeze(-1)
        loss = criterion(output, label.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
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


def naive_train(model, loaders, criterion, epochs, device='cpu'):
    """Train as the contract says, print its lines, leave the best weights in the model."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps = epochs * len(loaders['train'])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    best_corr, best_epoch, best_weights = -math.inf, None, None
    for epoch in range(epochs):
        loss = naive_epoch(model, loaders['train'], criterion, optimizer, scheduler, device)
        print(f'Epoch [{epoch + 1}/{epochs}], Loss: {loss:.4f}')
        loss, metrics = naive_evaluate(model, loaders['valid'], criterion, device)
        print(f'Validation Loss: {loss:.4f}')
        print(metrics)
        if metrics['Corr'] > best_corr:
            best_corr, best_epoch = metrics['Corr'], epoch
            best_weights = {name: value.clone() for name, value in model.state_dict().items()}
    print(f'Best model saved with val_corr {best_corr} at epoch {best_epoch}.')
    model.load_state_dict(best_weights)


def naive_seed(seed):
    """Seed every generator that a training draws from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def naive_main(data_path, epochs):
    """Train and test the baseline, printing what the contract asks for; the test metrics."""
    naive_seed(42)
    print('Device: cpu')
    model, criterion = NaiveModel(), nn.MSELoss()
    loaders = naive_loaders(data_path)
    naive_train(model, loaders, criterion, epochs)
    print('========== test results: ==========')
    loss, metrics = naive_evaluate(model, loaders['test'], criterion)
    print(f'Test Loss: {loss:.4f}')
    print(metrics)
    return metrics


def naive_study(builds, seeds, loaders, epochs, device='cpu'):
    """{(name, seed): validation metrics}, one by one; `builds` is {name: (build, loss)}."""
    results = {}
    for name, (build, criterion) in builds.items():
        for seed in seeds:
            naive_seed(seed)
            model = build().to(device)
            naive_train(model, loaders, criterion, epochs, device)
            _, results[name, seed] = naive_evaluate(model, loaders['valid'], criterion, device)
    return results
