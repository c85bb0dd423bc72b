"""Tensor Fusion Network (TFN): Zadeh et al., EMNLP 2017."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from msa_lab.models.common import to_score
from msa_lab.models.padding import cut_shared_padding, last_states, masked_mean


def tensor_fusion(audio: Tensor, vision: Tensor, text: Tensor) -> Tensor:
    """The paper's fusion layer: the outer product of three vectors, a 1 put in front of each.

    (B, a), (B, v), (B, t) -> (B, N) with N = (1 + a)(1 + v)(1 + t). Thanks to the ones, the result
    holds every single feature and all products of two of them beside the products of three.
    """
    audio, vision, text = (
        torch.cat([x.new_ones(len(x), 1), x], dim=1) for x in (audio, vision, text)
    )
    return torch.einsum('ba,bv,bt->bavt', audio, vision, text).flatten(1)


class AveragedEncoder(nn.Module):
    """TFN's embedding subnetwork of vision or audio: (B, T, width), bool (B, T) -> (B, size).

    The mean over the true steps is normalised (BatchNorm) and goes through three layers of Linear
    and ReLU. In training, a batch of one utterance is normalised by the running statistics, because
    one utterance has no spread.
    """

    def __init__(self, width: int, size: int, hidden: int = 32, dropout: float = 0.2):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(width, hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.ReLU()),
            *(nn.Linear(hidden, size), nn.ReLU()),
        )

    def forward(self, sequence: Tensor, padding: Tensor) -> Tensor:
        mean = masked_mean(sequence, padding)  # (B, width)
        norm = self.norm
        if len(mean) == 1 and self.training:
            statistics = norm.running_mean, norm.running_var
            normalised = batch_norm(mean, *statistics, norm.weight, norm.bias, eps=norm.eps)
        else:
            normalised = norm(mean)
        return self.layers(normalised)  # (B, size)


class TFN(nn.Module):
    """Tensor Fusion Network: Zadeh et al., EMNLP 2017, arXiv 1707.07250.

    From the paper: the embedding subnetworks (for vision and audio the mean over time through
    three ReLU layers, for text the last state of an LSTM), their three-fold outer product
    (`tensor_fusion`), dropout, a regression network with two hidden layers, and a sigmoid that
    bounds the score.

    The figures called the authors' are those of their code for CMU-MOSI,
    https://github.com/A2Zadeh/TensorFusionNetwork; the text of the paper was not at hand. As there,
    the means go through BatchNorm and dropout of 0.2, the LSTM has 128 units, and dropout on the
    fused tensor is 0.2.

    Deviations of the model:

    - The subnetworks end in 4 units for audio, 16 for vision and 64 for text, and the regression
      network is 32 units wide, so that the fused tensor has 5 x 17 x 65 = 5525 cells. These sizes
      are those of a well-known re-implementation,
      https://github.com/Justin1904/TensorFusionNetworks. The authors have 32, 32 and 64 units, so
      33 x 33 x 65 = 70785 cells, and 160 units in the regression network. Their other layers for
      audio and vision are 32 units wide, as here.
    - The state of the LSTM goes through dropout of 0.2; the authors have none there.
    - The score is in (-3, 3), the scale of the labels; the authors' is in (-4, 4).
    - Word vectors are fixed; the authors train them with the model.
    - Means are over the true steps of utterances of at most 50 steps. The authors take at most 20
      words and average over padding too.
    - Vision and audio are used as they are. The authors choose some of their features beforehand
      and divide each of vision by its largest absolute value in the training data.
    - A training batch of one utterance is normalised by the running statistics.

    Deviations of training (the lab's is in `msa_lab.models.common`): the authors minimise the mean
    absolute error, with Adamax and batches of 128. They train for at most 1000 epochs and stop when
    the validation loss has not improved for 5 epochs; the weights of its lowest value are kept.
    The default of their weight decay is 0, as in the lab.

    `forward`: (B, T, 35), (B, T, 300), (B, T, 74) -> (B, 1) in (-3, 3); widths are keywords.
    """

    # From the authors' `tf_mosi.py`: the default of `--batch`, and the learning rate in the remark
    # beside `--lr`, whose default is 0.01. They stop early: no number of epochs.
    PAPER_TRAINING: ClassVar = dict(lr=5e-4, batch_size=128)

    def __init__(
        self,
        vision_dim: int = 35,
        text_dim: int = 300,
        audio_dim: int = 74,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.audio = AveragedEncoder(audio_dim, 4, dropout=dropout)
        self.vision = AveragedEncoder(vision_dim, 16, dropout=dropout)
        self.text_lstm = nn.LSTM(text_dim, 128, batch_first=True)
        self.text_fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(128, 64))
        self.regression = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(5 * 17 * 65, 32), nn.ReLU()),
            *(nn.Linear(32, 32), nn.ReLU()),
            nn.Linear(32, 1),
        )

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        vision, text, audio, padding = cut_shared_padding(vision, text, audio)
        text = self.text_fc(last_states(self.text_lstm, text, padding))  # (B, 64)
        fused = tensor_fusion(self.audio(audio, padding), self.vision(vision, padding), text)
        return to_score(self.regression(fused))
