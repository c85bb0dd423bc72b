"""The mirror of EXP_MSA.ipynb, sections 8 and 9: the better model, and what is done to its input.

`msa_utils` re-exports every name, so that importing it is enough; see there.
"""

from contextlib import contextmanager

import pandas as pd
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from msa_ablations import masked_mean, padding_mask


class PackedLSTM(nn.LSTM):
    """An LSTM that reads the true steps alone: (B, T, D), bool (B, T) -> (B, T, H).

    Packing wants the padding at the back, so every utterance is moved to the front and back
    again; the output is 0 where `padding` is True. Needed by the direction that reads backwards:
    it begins at the last word and must end at the first.
    """

    def forward(self, sequence, padding):
        steps, start = sequence.shape[1], padding.sum(1, keepdim=True)  # start: (B, 1)
        clock = torch.arange(steps, device=sequence.device)
        to_front = ((clock + start) % steps).unsqueeze(-1)  # (B, T, 1)
        words = torch.take_along_dim(sequence, to_front, dim=1)
        lengths = (steps - start.squeeze(1)).cpu()
        packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
        output, _ = super().forward(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=steps)
        to_back = ((clock - start) % steps).unsqueeze(-1)
        return torch.take_along_dim(output, to_back, dim=1)  # (B, T, H)


class WordDropout(nn.Module):
    """Hides whole words while training, each with probability `p`: (B, T, D) -> (B, T, D)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, sequence):
        if not self.training:
            return sequence
        kept = torch.rand(sequence.shape[:2], device=sequence.device) >= self.p
        return sequence * kept.unsqueeze(-1)


class UtteranceSummary(nn.Module):
    """Vision or audio in one vector: (B, T, D), missing (B, T) -> (B, 32).

    Every feature is standardised over the frames that are there (BatchNorm) and clipped at 3
    standard deviations; Linear and ReLU; the mean over the frames that are there, 0 without any.
    While training, an utterance loses the modality with probability `p_modality`.
    """

    def __init__(self, width, dim=32, dropout=0.3, p_modality=0.2):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, dim), nn.ReLU())
        self.p_modality = p_modality

    def forward(self, sequence, missing):
        summary = masked_mean(self.fc(self.standardize(sequence, missing)), missing)  # (B, 32)
        present = ~missing.all(1, keepdim=True)  # (B, 1)
        if self.training:
            present = present & (
                torch.rand(present.shape, device=present.device) >= self.p_modality
            )
        return summary * present

    def standardize(self, sequence, missing):
        frames = sequence[~missing]  # (number of frames, D)
        self.norm.train(self.training and len(frames) > 1)  # one frame has no spread of its own
        standard = torch.zeros_like(sequence)
        standard[~missing] = self.norm(frames).clamp(-3, 3)
        return standard


class GatedShift(nn.Module):
    """Face and voice move every word, each through a gate: (B, T, 256), 2 x (B, 32) -> (B, T, 256).

    After the Multimodal Adaptation Gate of Rahman et al. (ACL 2020), with one summary of the
    utterance per modality in place of one vector per word.
    """

    def __init__(self, text_dim=256, dim=32):
        super().__init__()
        self.vision_gate = nn.Linear(text_dim + dim, text_dim)
        self.audio_gate = nn.Linear(text_dim + dim, text_dim)
        self.vision_fc = nn.Linear(dim, text_dim, bias=False)  # no bias: no face, no shift
        self.audio_fc = nn.Linear(dim, text_dim, bias=False)
        self.norm = nn.LayerNorm(text_dim)

    def forward(self, text, vision, audio):
        vision, audio = (x.unsqueeze(1).expand(-1, text.shape[1], -1) for x in (vision, audio))
        vision_gate = torch.sigmoid(self.vision_gate(torch.cat([text, vision], dim=-1)))
        audio_gate = torch.sigmoid(self.audio_gate(torch.cat([text, audio], dim=-1)))
        shift = vision_gate * self.vision_fc(vision) + audio_gate * self.audio_fc(audio)
        return self.norm(text + shift)  # (B, T, 256)


class AttentionPooling(nn.Module):
    """A weighted mean over the words: (B, T, D), bool (B, T) -> (B, D) and weights (B, T).

    The weights sum to 1 over the true steps and are 0 on padding (Yang et al., NAACL 2016).
    """

    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, sequence, padding):
        scores = self.score(sequence).squeeze(-1)  # (B, T, 1) -> (B, T)
        weights = scores.masked_fill(padding, float('-inf')).softmax(dim=1)
        return (weights.unsqueeze(1) @ sequence).squeeze(1), weights  # (B, 1, D) -> (B, D)


class ImprovedSentimentModel(nn.Module):
    """The better model of question 3, chosen without the test split.

    `forward(vision, text, audio)` takes float tensors (B, T, 35), (B, T, 300), (B, T, 74) and
    returns (B, 1), a score in (-3, 3). The feature widths are keyword arguments.
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74):
        super().__init__()
        self.text_norm = nn.LayerNorm(text_dim)
        self.text_dropout = nn.Sequential(WordDropout(0.1), nn.Dropout(0.3))
        self.text_lstm = PackedLSTM(text_dim, 128, batch_first=True, bidirectional=True)
        self.vision_summary = UtteranceSummary(vision_dim)
        self.audio_summary = UtteranceSummary(audio_dim)
        self.shift = GatedShift()
        self.pooling = AttentionPooling(256)
        self.fc = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(256, 64), nn.ReLU()),
            *(nn.Dropout(0.25), nn.Linear(64, 1)),
        )

    def forward(self, vision, text, audio):
        return self.look_inside(vision, text, audio)[0]

    def look_inside(self, vision, text, audio):
        """The score (B, 1) and the attention over the words (B, T): see section 9."""
        padding = padding_mask(vision, text, audio)
        words = self.text_dropout(self.text_norm(text))
        words = self.text_lstm(words, padding)  # (B, T, 256)
        vision = self.vision_summary(vision, ~vision.any(-1))  # (B, 32)
        audio = self.audio_summary(audio, ~audio.any(-1))
        words = self.shift(words, vision, audio)  # (B, T, 256)
        pooled, weights = self.pooling(words, padding)  # (B, 256), (B, T)
        return 3 * torch.tanh(self.fc(pooled)), weights


def without(modality):
    """A corruption: the modality is missing (all zeros) in every utterance."""

    def corrupt(vision, text, audio):
        features = {'vision': vision, 'text': text, 'audio': audio}
        features[modality] = torch.zeros_like(features[modality])
        return tuple(features.values())

    return corrupt


def with_lost_frames(share, seed=0):
    """A corruption: every frame of vision and of audio is lost with probability `share`."""
    generator = torch.Generator().manual_seed(seed)

    def corrupt(vision, text, audio):
        kept = [torch.rand(x.shape[:2], generator=generator) >= share for x in (vision, audio)]
        vision, audio = (
            x * k.unsqueeze(-1).to(x.device) for x, k in zip((vision, audio), kept, strict=True)
        )
        return vision, text, audio

    return corrupt


def with_noise(level, vision_sd, audio_sd, seed=0):
    """A corruption: Gaussian noise on every frame of vision and audio that is there.

    Its standard deviation is `level` times that of each feature, (35,) and (74,).
    """
    generator = torch.Generator().manual_seed(seed)

    def add(x, sd):
        noise = torch.randn(x.shape, generator=generator) * sd
        return x + level * noise.to(x.device) * x.any(-1, keepdim=True)

    def corrupt(vision, text, audio):
        return add(vision, vision_sd), text, add(audio, audio_sd)

    return corrupt


@contextmanager
def corrupted(model, corrupt):
    """In its `with` block the model sees `corrupt(vision, text, audio)` of what it is shown."""
    hook = model.register_forward_pre_hook(lambda module, features: corrupt(*features))
    try:
        yield model
    finally:
        hook.remove()


def sweep(models, corruptions, score):
    """What every model makes of every corruption, a DataFrame: `model`, `seed`, `level`, metrics.

    `models` is {(name, seed): (model, checkpoint)}; `corruptions` is {level: make}, where `make()`
    gives a corruption, made anew for each model so that all meet the same accidents;
    `score(model, checkpoint=...)` returns the metrics, a dict.
    """
    rows = []
    for (name, seed), (model, checkpoint) in models.items():
        for level, make in corruptions.items():
            with corrupted(model, make()):
                metrics = score(model, checkpoint=checkpoint)
            rows.append({'model': name, 'seed': seed, 'level': level, **metrics})
    return pd.DataFrame(rows)


def hide_step(steps):
    """A corruption: of every utterance, in the order they come, one step of the text is hidden.

    `steps` (N,) says which. It counts the utterances that pass, so it is for one evaluation.
    """
    waiting = iter(steps)

    def corrupt(vision, text, audio):
        text = text.clone()
        for row, step in zip(text, waiting, strict=False):
            row[int(step)] = 0
        return vision, text, audio

    return corrupt
