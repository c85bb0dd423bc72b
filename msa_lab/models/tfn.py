"""Tensor Fusion Network (TFN): Zadeh et al., EMNLP 2017."""

import torch
from torch import nn

from msa_lab.models.common import to_score
from msa_lab.models.padding import cut_shared_padding, last_states, masked_mean


def tensor_fusion(audio, vision, text):
    """Outer product of the three, a 1 put before each: (B, a), (B, v), (B, t) -> (B, N).

    N = (1 + a)(1 + v)(1 + t): thanks to the ones it holds, beside all products of three, those
    of two, and each single feature.
    """
    audio, vision, text = (
        torch.cat([x.new_ones(len(x), 1), x], dim=1) for x in (audio, vision, text)
    )
    return torch.einsum('ba,bv,bt->bavt', audio, vision, text).flatten(1)


class AveragedEncoder(nn.Module):
    """TFN's network for vision or audio: the mean over the true steps, then three ReLU layers."""

    def __init__(self, width, size, hidden=32, dropout=0.2):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(width, hidden), nn.ReLU()),
            *(nn.Linear(hidden, hidden), nn.ReLU()),
            *(nn.Linear(hidden, size), nn.ReLU()),
        )

    def forward(self, sequence, padding):
        average = masked_mean(sequence, padding)
        if len(average) == 1 and self.training:  # one utterance has no statistics of its own
            norm = self.norm
            normed = nn.functional.batch_norm(
                average, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            normed = self.norm(average)
        return self.layers(normed)  # (B, size)


class TFN(nn.Module):
    """Tensor Fusion Network: Zadeh et al., EMNLP 2017, arXiv 1707.07250.

    From the paper: the embedding subnetworks (time averages through three ReLU layers of 32 units
    for vision and audio, the last state of an LSTM for text), the three-fold outer product with
    the prepended ones, dropout, and a regression network of two layers on top.
    Deviations: the subnetworks end in 4 (audio) and 16 (vision) units and the text in 64, so that
    the tensor has 5 x 17 x 65 = 5525 cells; the regression network is 32 wide, not 128; a batch of
    one utterance is normalised by the running statistics.
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74, dropout=0.2):
        super().__init__()
        self.audio = AveragedEncoder(audio_dim, 4)
        self.vision = AveragedEncoder(vision_dim, 16)
        self.text_lstm = nn.LSTM(text_dim, 128, batch_first=True)
        self.text_fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(128, 64))
        self.regression = nn.Sequential(
            nn.Dropout(dropout),
            *(nn.Linear(5 * 17 * 65, 32), nn.ReLU()),
            *(nn.Linear(32, 32), nn.ReLU()),
            nn.Linear(32, 1),
        )

    def forward(self, vision, text, audio):
        vision, text, audio, padding = cut_shared_padding(vision, text, audio)
        text = self.text_fc(last_states(self.text_lstm, text, padding))  # (B, 64)
        fused = tensor_fusion(self.audio(audio, padding), self.vision(vision, padding), text)
        return to_score(self.regression(fused))
