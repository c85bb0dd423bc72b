"""What models do about padding: an utterance has 50 steps, most of them zeros at the front.

`padding` is bool (B, T), True where a step is padding and not part of the utterance.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from msa_lab.data.split import padding_mask


def masked_mean(sequence: Tensor, padding: Tensor) -> Tensor:
    """Mean over the steps that are not padding: (B, T, D), bool (B, T) -> (B, D); 0 of none."""
    weight = (~padding).unsqueeze(-1).to(sequence.dtype)  # (B, T, 1)
    return (sequence * weight).sum(1) / weight.sum(1).clamp(min=1)


def cut_shared_padding(vision: Tensor, text: Tensor, audio: Tensor) -> tuple[Tensor, ...]:
    """The batch without the first steps that are padding in every utterance, and its padding.

    Returns `(vision, text, audio, padding)`, (B, T', D) three times and bool (B, T').
    """
    padding = padding_mask(vision, text, audio)
    first = int(padding.all(0).sum())
    return vision[:, first:], text[:, first:], audio[:, first:], padding[:, first:]


def roll_steps(sequence: Tensor, shifts: Tensor) -> Tensor:
    """Every utterance moved round by its own number of steps: (B, T, D), int (B,) -> (B, T, D).

    Step t of the result is step (t + shift) mod T of the input.
    """
    steps = torch.arange(sequence.shape[1], device=sequence.device)
    order = (steps + shifts.unsqueeze(1)) % len(steps)  # (B, T)
    return torch.take_along_dim(sequence, order.unsqueeze(-1), dim=1)


def pack_true_steps(sequence: Tensor, padding: Tensor) -> PackedSequence:
    """The steps that are not padding, packed for an LSTM: (B, T, D), bool (B, T).

    Packing wants the padding at the back, so every utterance is moved to the front first.
    """
    front = padding.sum(1)  # (B,): steps of padding
    lengths = (padding.shape[1] - front).cpu()
    words = roll_steps(sequence, front)
    return pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)


def unpack_true_steps(packed: PackedSequence, padding: Tensor) -> Tensor:
    """The reverse of `pack_true_steps`: (B, T, H), with zeros where `padding` is True."""
    steps = padding.shape[1]
    sequence, _ = pad_packed_sequence(packed, batch_first=True, total_length=steps)
    return roll_steps(sequence, -padding.sum(1))


def last_states(lstm: nn.LSTM, sequence: Tensor, padding: Tensor) -> Tensor:
    """The states of an LSTM after the true steps alone, all directions: (B, T, D) -> (B, H).

    Nothing is read of the padding, and the way back begins at the last word.
    """
    _, (hidden, _) = lstm(pack_true_steps(sequence, padding))
    return torch.cat(list(hidden), dim=1)
