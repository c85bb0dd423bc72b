"""Modality-invariant and -specific representations (MISA): Hazarika et al., ACM MM 2020."""

from itertools import combinations
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

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
    """Mean square of the cells of x^T y, for two batches of vectors (B, D) -> scalar.

    Before, both are centred over the batch and every row is scaled to length 1. The loss is 0 when
    every feature of x is orthogonal to every feature of y. As in the authors' code, the length of a
    row counts as a constant in the gradient, and 1e-6 is added to it.
    """
    x, y = (z - z.mean(0) for z in (x, y))
    x, y = (z / (z.detach().norm(dim=1, keepdim=True) + 1e-6) for z in (x, y))
    return (x.T @ y).square().mean()


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

    The figures called the authors' are those of their code for CMU-MOSI,
    https://github.com/declare-lab/MISA; the paper's own table of them was not at hand. As there,
    the vectors have 128 features and the moments go up to order 5; the difference is the sum over
    the private and the shared representation of each modality and over each two private ones;
    similarity and reconstruction are means over three pairs and three modalities.

    Deviations of the model:

    - Text: the authors fine-tune BERT and average its states. Here a recurrent encoder reads stored
      word vectors, as in their variant without BERT.
    - Each recurrent encoder of the authors is two bidirectional LSTMs, one after the other with a
      LayerNorm between them, with as many units per direction as there are features, and the last
      states of both are joined (for word vectors of 300 features, 3.6 million weights). Here it is
      one bidirectional LSTM with 64 units per direction for text and 32 for vision and audio.
    - Recurrent weights start as PyTorch draws them; the authors' start as orthogonal matrices.
    - The Transformer layer has 256 inner units, not 2048.
    - Dropout between the two Linear layers of the regression is 0.1, not 0.5.
    - The score is scaled to (-3, 3); the authors' is not bounded.
    - The authors take the visual features of Facet 4.1 and the acoustic ones of COVAREP; here they
      are what the data file holds.

    Deviations of training (the lab's is in `msa_lab.models.common`): the authors use Adam with a
    constant learning rate of 0.0001, batches of 64, and clip every gradient value to [-1, 1]. They
    train for at most 500 epochs and stop when the validation loss has not improved for 7 epochs in
    a row; the weights of its lowest value are kept.

    `forward`: (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3); widths are keywords. In
    training mode it keeps its representations in `parts`, for the loss that `criterion()` returns.
    """

    # The values of the authors' `config.py` for CMU-MOSI. They stop early: no number of epochs.
    PAPER_TRAINING: ClassVar = dict(lr=1e-4, batch_size=64)

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
        pairs = combinations(shared.values(), 2)
        similarity = sum(central_moment_discrepancy(*pair) for pair in pairs) / 3
        decoded = {name: self.decoders[name](private[name] + shared[name]) for name in vectors}
        reconstruction = sum(mse_loss(decoded[name], vectors[name]) for name in vectors) / 3
        return task_loss + 0.3 * difference + similarity + reconstruction
