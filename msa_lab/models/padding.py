"""What models do about padding: an utterance has 50 steps, and most of them are zeros in front.

`padding` is a bool tensor (B, T), True where a step is padding and not part of the utterance; all
padding of an utterance lies in front of its other steps, which are called the true steps.
`msa_lab.data.padding_mask` makes it.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from msa_lab.data import padding_mask


def masked_mean(sequence: Tensor, padding: Tensor) -> Tensor:
    """Mean over the true steps of each utterance: (B, T, D), bool (B, T) -> (B, D).

    It is 0 for an utterance where every step is marked as padding.
    """
    weight = (~padding).unsqueeze(-1).to(sequence.dtype)  # (B, T, 1)
    return (sequence * weight).sum(1) / weight.sum(1).clamp(min=1)


def cut_shared_padding(
    vision: Tensor, text: Tensor, audio: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch without the first steps that are padding in every utterance, and its mask.

    Takes float (B, T, width) of each modality; returns them with T' <= T steps, (B, T', width),
    and `padding`, bool (B, T').
    """
    padding = padding_mask(vision, text, audio)
    first = int(padding.all(0).sum())
    return vision[:, first:], text[:, first:], audio[:, first:], padding[:, first:]


def roll_steps(sequence: Tensor, shifts: Tensor) -> Tensor:
    """Rotate the steps of every utterance by a number of its own: (B, T, D), int (B,) -> (B, T, D).

    Step t of the result is step (t + shift) mod T of the input; so a positive shift moves steps to
    the front.
    """
    steps = torch.arange(sequence.shape[1], device=sequence.device)
    order = (steps + shifts.unsqueeze(1)) % len(steps)  # (B, T)
    return torch.take_along_dim(sequence, order.unsqueeze(-1), dim=1)


def pack_true_steps(sequence: Tensor, padding: Tensor) -> PackedSequence:
    """The true steps of (B, T, D) alone, in the form that `nn.LSTM` reads; `padding` is (B, T).

    `pack_padded_sequence` expects padding at the back, so every utterance is rotated first.
    """
    shifts = padding.sum(1)  # (B,): the steps of padding in front
    lengths = (padding.shape[1] - shifts).cpu()
    words = roll_steps(sequence, shifts)
    return pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)


def last_states(lstm: nn.LSTM, sequence: Tensor, padding: Tensor) -> Tensor:
    """The final hidden states of an LSTM that reads the true steps alone.

    Takes (B, T, D) and `padding` (B, T); returns (B, H), the states of all directions joined. The
    backward direction begins at the last true step and ends at the first.
    """
    _, (hidden, _) = lstm(pack_true_steps(sequence, padding))
    return torch.cat(list(hidden), dim=1)
