"""Modality-invariant and -specific representations (MISA): Hazarika et al., ACM MM 2020."""

from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from msa_lab.models.common import TrainingLoss, to_score
from msa_lab.models.padding import cut_shared_padding, last_states


def central_moment_discrepancy(x: Tensor, y: Tensor, order: int = 5) -> Tensor:
    """Central moment discrepancy of two samples with values in [0, 1]: (N, D), (M, D) -> scalar.

    It measures how far apart two distributions are (Zellinger et al., ICLR 2017): the distance of
    the two means plus the distances of the central moments of orders 2 to `order`.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    distance = torch.linalg.vector_norm(mean_x - mean_y)
    for k in range(2, order + 1):
        moments = ((x - mean_x) ** k).mean(0), ((y - mean_y) ** k).mean(0)
        distance = distance + torch.linalg.vector_norm(moments[0] - moments[1])
    return distance


def difference_loss(x: Tensor, y: Tensor) -> Tensor:
    """Squared Frobenius norm of the product x^T y of two batches of vectors: (B, D) -> scalar.

    Before, both are centred over the batch and every row is scaled to length 1. The loss is 0 when
    every feature of x is orthogonal to every feature of y.
    """
    x, y = (normalize(z - z.mean(0), dim=1) for z in (x, y))
    return (x.T @ y).square().sum()


class BidirectionalEncoder(nn.Module):
    """MISA's utterance vector of one modality: (B, T, width), bool (B, T) -> (B, dim).

    The last states of an LSTM in both directions go through Linear, ReLU and LayerNorm.
    """

    def __init__(self, width: int, hidden: int, dim: int = 128):
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.project = nn.Sequential(nn.Linear(2 * hidden, dim), nn.ReLU(), nn.LayerNorm(dim))

    def forward(self, sequence: Tensor, padding: Tensor) -> Tensor:
        return self.project(last_states(self.lstm, sequence, padding))  # (B, 128)


class MISA(nn.Module):
    """Modality-invariant and -specific representations: Hazarika et al., ACM MM 2020.

    From the paper (doi 10.1145/3394171.3413678): a private and a shared representation of each
    modality, the reconstruction of the utterance vector from their sum, a Transformer layer over
    the six representations, and the loss: task + 0.3 difference + 1.0 similarity (the central
    moment discrepancy between the shared representations) + 1.0 reconstruction.

    Deviations: LSTM encoders of one layer with 64 units per direction for text and 32 for vision
    and audio (the paper's text encoder alone has 3.6 M weights); the squared Frobenius norm of the
    difference loss is divided by the 128 x 128 cells of its matrix, because their sum outweighs the
    task fifteenfold in the first batch of 16 (measured: 43 against 2.8); the score is scaled to
    (-3, 3).

    `forward`: (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3); widths are keywords. In
    training mode it keeps its representations in `parts`, for the loss that `criterion()` returns.
    """

    def __init__(
        self,
        vision_dim: int = 35,
        text_dim: int = 300,
        audio_dim: int = 74,
        dim: int = 128,
        dropout: float = 0.1,
    ):
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

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        vision, text, audio, padding = cut_shared_padding(vision, text, audio)
        features = {'vision': vision, 'text': text, 'audio': audio}
        vectors = {name: encode(features[name], padding) for name, encode in self.encoders.items()}
        private = {name: torch.sigmoid(self.private[name](vectors[name])) for name in vectors}
        shared = {name: torch.sigmoid(self.shared(vectors[name])) for name in vectors}
        if self.training:
            self.parts = vectors, private, shared  # three dicts {modality: (B, 128)}
        six = torch.stack([*private.values(), *shared.values()], dim=1)  # (B, 6, 128)
        return to_score(self.regression(self.fusion(six).flatten(1)))

    def criterion(self) -> TrainingLoss:
        """MSE, and in training mode the paper's three further terms with it."""
        return TrainingLoss(self)

    def training_loss(self, task_loss: Tensor, label: Tensor) -> Tensor:
        """The paper's loss of the last forward pass, a scalar; `task_loss` is its MSE."""
        vectors, private, shared = self.parts
        difference = sum(difference_loss(private[name], shared[name]) for name in vectors)
        difference += sum(difference_loss(*pair) for pair in combinations(private.values(), 2))
        difference = difference / self.shared.out_features**2  # per cell of the matrix
        pairs = combinations(shared.values(), 2)
        similarity = sum(central_moment_discrepancy(*pair) for pair in pairs) / 3
        decoded = {name: self.decoders[name](private[name] + shared[name]) for name in vectors}
        reconstruction = sum(mse_loss(decoded[name], vectors[name]) for name in vectors) / 3
        return task_loss + 0.3 * difference + similarity + reconstruction
