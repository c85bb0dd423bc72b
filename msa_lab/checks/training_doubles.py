"""Doubles of what `make_loader`, `fit` and `main` use, for the self-checks of TODO 10."""

from collections.abc import Iterable
from contextlib import nullcontext

import torch
from torch import nn
from torch.utils.data import Dataset

from msa_lab.checks.failure import fail
from msa_lab.data import METRICS, WIDTHS

# A label is 100 times the number of its split plus its index: so a batch says what is in it.
SIZES = {'train': 37, 'valid': 21, 'test': 18}
NUMBERS = {'train': 1, 'valid': 2, 'test': 3}


class DatasetDouble(Dataset):
    """A double of MOSIDataset: tiny, and every label says its split and index."""

    paths = ()

    def __init__(self, data_path, split='train'):
        if split not in SIZES:
            fail('10.1', f'划分的名字应是 {", ".join(map(repr, SIZES))} 之一；得到 {split!r}。')
        type(self).paths = (*self.paths, str(data_path))
        self.split = split

    def __len__(self):
        return SIZES[self.split]

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        features = [torch.ones(2, width) for width in WIDTHS.values()]
        return *features, torch.tensor(100.0 * NUMBERS[self.split] + index)


class ModelDouble(nn.Module):
    """A double of the baseline."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.arguments = kwargs
        self.fc, self.scale = nn.Linear(300, 1), nn.Parameter(torch.ones(1))

    def forward(self, vision, text, audio):
        return self.scale * self.fc(text[:, -1])


class OtherModelDouble(ModelDouble):
    """A double of the model that `build` gives in the second run."""


class WriterDouble(nullcontext):
    """A double of RunWriter that writes nothing."""

    def __init__(self, log_dir):
        super().__init__(self)
        self.log_dir = log_dir


class Recorder:
    """The doubles of `train_model` and `fit`; they record their arguments."""

    def __init__(self):
        self.trainings, self.fits = [], []
        self.metrics = {name: 0.1 * i for i, name in enumerate(METRICS, 1)}
        self.history = []

    def train_model(
        self,
        model,
        train_loader,
        valid_loader,
        criterion,
        optimizer,
        scheduler,
        device,
        epochs,
        *,
        checkpoint='best_model.pth',
        writer=None,
        progress=False,
        quiet=False,
        **others,
    ):
        """Record the arguments; save weights as the best ones and leave others in the model."""
        self.trainings.append({k: v for k, v in locals().items() if k != 'self'})
        self.trainings[-1]['lr'] = [g['lr'] for g in getattr(optimizer, 'param_groups', [])]
        with torch.no_grad():
            for value in (2.0, 3.0):
                if isinstance(model, ModelDouble):
                    model.scale.fill_(value)
                if value == 2.0 and isinstance(model, nn.Module):
                    torch.save(model.state_dict(), checkpoint)
        self.history = [
            {'epoch': e + 1, 'lr': 1e-3, 'train_loss': 1.0, 'valid_loss': 1.0, **self.metrics}
            for e in range(epochs if isinstance(epochs, int) else 1)
        ]
        return self.history

    def fit(self, model, data_path, criterion, **settings):
        """Record model and loss."""
        self.fits.append((model, criterion))
        return self.history


def labels_of(loader: Iterable) -> list[list[int]]:
    """The labels of every batch of a loader, as lists of integers."""
    return [[round(float(x)) for x in torch.as_tensor(batch[-1]).reshape(-1)] for batch in loader]


def splits_of(batches: list[list[int]]) -> list[str]:
    """The splits that the utterances of the batches come from, in the order of SIZES."""
    found = {label // 100 for batch in batches for label in batch}
    return [split for split, number in NUMBERS.items() if number in found]
