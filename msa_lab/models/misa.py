"""Modality-invariant and -specific representations (MISA): Hazarika et al., ACM MM 2020."""

from itertools import combinations

import torch
from torch import nn
from torch.nn.functional import mse_loss

from msa_lab.models.common import TrainingLoss, to_score
from msa_lab.models.padding import cut_shared_padding, last_states


def cmd(x, y, order=5):
    """Central moment discrepancy of two samples in [0, 1], (N, D) and (M, D): a scalar.

    Zellinger et al., ICLR 2017: distance of the means plus, for the orders 2 to `order`, the
    distance of the central moments.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    distance = torch.linalg.vector_norm(mean_x - mean_y)
    for k in range(2, order + 1):
        moments = ((x - mean_x) ** k).mean(0), ((y - mean_y) ** k).mean(0)
        distance = distance + torch.linalg.vector_norm(moments[0] - moments[1])
    return distance


def difference_loss(x, y):
    """Squared Frobenius norm of the cross-correlation of two (B, D): a scalar, 0 if orthogonal.

    Both are centred over the batch, then every row is scaled to length 1.
    """
    x, y = (nn.functional.normalize(z - z.mean(0), dim=1) for z in (x, y))
    return (x.T @ y).square().sum()


class BidirectionalEncoder(nn.Module):
    """The last states of an LSTM in both directions, projected to 128: MISA's utterance vector."""

    def __init__(self, width, hidden, dim=128):
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Sequential(nn.Linear(2 * hidden, dim), nn.ReLU(), nn.LayerNorm(dim))

    def forward(self, sequence, padding):
        return self.project(last_states(self.lstm, sequence, padding))  # (B, 128)


class MISA(nn.Module):
    """Modality-invariant and -specific representations: Hazarika et al., ACM MM 2020.

    From the paper (doi 10.1145/3394171.3413678): private and shared representations of each
    modality, the reconstruction from their sum, a Transformer layer over the six vectors, and the
    loss: task + 0.3 difference + 1.0 similarity (central moment discrepancy between the shared
    ones) + 1.0 reconstruction.
    Deviations: LSTM encoders of one layer with 64 units per direction for text and 32 for vision
    and audio (the paper's text encoder alone has 3.6 M weights); the squared Frobenius norm is
    taken per cell of its 128 x 128 matrix, because the sum over the cells outweighs the task
    fifteenfold in the first batch of 16 (measured: 43 against 2.8); the score is scaled to (-3, 3).
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74, dim=128, dropout=0.1):
        super().__init__()
        sizes = {'vision': (vision_dim, 32), 'text': (text_dim, 64), 'audio': (audio_dim, 32)}
        self.encoders = nn.ModuleDict(
            {name: BidirectionalEncoder(*size, dim) for name, size in sizes.items()}
        )
        self.private = nn.ModuleDict({name: nn.Linear(dim, dim) for name in sizes})
        self.shared = nn.Linear(dim, dim)
        self.decoders = nn.ModuleDict({name: nn.Linear(dim, dim) for name in sizes})
        self.fusion = nn.TransformerEncoderLayer(dim, 2, 2 * dim, dropout, batch_first=True)
        self.regression = nn.Sequential(
            nn.Linear(6 * dim, 3 * dim), nn.Dropout(dropout), nn.ReLU(), nn.Linear(3 * dim, 1)
        )

    def forward(self, vision, text, audio):
        vision, text, audio, padding = cut_shared_padding(vision, text, audio)
        features = {'vision': vision, 'text': text, 'audio': audio}
        u = {name: encoder(features[name], padding) for name, encoder in self.encoders.items()}
        private = {name: torch.sigmoid(self.private[name](u[name])) for name in u}
        shared = {name: torch.sigmoid(self.shared(u[name])) for name in u}
        if self.training:
            self.parts = u, private, shared
        six = torch.stack([*private.values(), *shared.values()], dim=1)  # (B, 6, 128)
        return to_score(self.regression(self.fusion(six).flatten(1)))

    def criterion(self):
        """MSE and, while it trains, the three further terms."""
        return TrainingLoss(self)

    def training_loss(self, task, label):
        """The paper's loss, of the last forward pass."""
        u, private, shared = self.parts
        difference = sum(difference_loss(private[name], shared[name]) for name in u)
        difference += sum(difference_loss(*pair) for pair in combinations(private.values(), 2))
        difference = difference / self.shared.out_features**2  # per cell of the matrix
        similarity = sum(cmd(*pair) for pair in combinations(shared.values(), 2)) / 3
        decoded = {name: self.decoders[name](private[name] + shared[name]) for name in u}
        reconstruction = sum(mse_loss(decoded[name], u[name]) for name in u) / 3
        return task + 0.3 * difference + similarity + reconstruction
