"""The mirror of EXP_MSA.ipynb, section 7: the parts of the ablations.

`msa_utils` re-exports every name, so that importing it is enough; see there.
"""

import math

import torch
from torch import nn


def padding_mask(vision, text, audio):
    """Which steps are padding, bool (B, T): zero in all modalities, with none filled before.

    An utterance of nothing but padding keeps its last step.
    """
    filled = vision.any(-1) | text.any(-1) | audio.any(-1)  # (B, T)
    filled[:, -1] = True
    return filled.int().cummax(dim=1).values == 0


def shared_padding(padding):
    """Number of steps at the front that are padding in every utterance, of bool (B, T).

    On a GPU it is 0: to ask would make it wait, at every batch, for little.
    """
    return 0 if padding.is_cuda else int(padding.all(0).sum())


class StepsOnce:
    """The steps of a batch that differ: all that are not padding, and one that is.

    What is done step by step is done on these; padding is zero everywhere, so one stands for all.
    """

    def __init__(self, padding):
        self.shape, self.kept, self.place = padding.shape, slice(None), None
        flat = padding.flatten()  # (B * T,)
        if flat.is_cuda or not flat.any():  # a GPU would have to wait for the number of steps
            return
        keep, stand_in = ~flat, flat.int().argmax()
        keep[stand_in] = True
        place = keep.cumsum(0) - 1
        self.kept, self.place = keep.nonzero().squeeze(1), torch.where(flat, place[stand_in], place)

    def pick(self, x):
        """(B, T, D) -> (n, D)"""
        return x.flatten(0, 1)[self.kept]

    def lay_out(self, x):
        """(n, D) -> (B, T, D)"""
        x = x if self.place is None else x.index_select(0, self.place)
        return x.unflatten(0, self.shape)


class RecurrentEncoder(nn.LSTM):
    """The baseline's LSTM, (B, T, 128) -> (B, T, 128), that reads padding once.

    While utterances are padded their states are the same. So the first steps are computed for the
    longest utterances and for one that is still padded; the others join with the state of that
    one. The result differs from `nn.LSTM` by rounding alone. On a GPU it is `nn.LSTM`.
    """

    def forward(self, sequence, padding):
        if sequence.is_cuda:
            return super().forward(sequence)[0]
        begin, order = padding.sum(1).sort()  # the longest utterances begin first
        spared = begin * torch.arange(len(begin) - 1, -1, -1)
        if not spared.any():
            return super().forward(sequence)[0]
        first = int(spared.argmax())  # so many do not wait, and number `first` is still padded
        start = int(begin[first])
        source = order.argsort().clamp(max=first)  # (B,): whose states are those of an utterance
        head, state = super().forward(sequence[order[: first + 1], :start])
        state = tuple(s.index_select(1, source) for s in state)
        tail, _ = super().forward(sequence[:, start:], state)  # (B, T - start, 128)
        return torch.cat([head.index_select(0, source), tail], dim=1)


class PositionEncoding(nn.Module):
    """Adds the sinusoids of Vaswani et al. (2017), section 3.5: (B, T, dim) -> (B, T, dim)."""

    def __init__(self, dim=128, max_steps=500):
        super().__init__()
        position = torch.arange(max_steps).unsqueeze(1)  # (T, 1)
        frequency = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2) / dim)  # (dim / 2,)
        table = torch.zeros(max_steps, dim)
        table[:, 0::2] = torch.sin(position * frequency)
        table[:, 1::2] = torch.cos(position * frequency)
        self.register_buffer('table', table, persistent=False)

    def forward(self, sequence):
        return sequence + self.table[: sequence.shape[1]]


class TransformerEncoder(nn.Module):
    """One Transformer layer in place of an LSTM: (B, T, 128) -> (B, T, 128); padding is masked."""

    def __init__(self, position=True, dim=128, num_heads=4, dropout=0.1):
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, num_heads, 2 * dim, dropout, batch_first=True)
        self.position = PositionEncoding(dim) if position else nn.Identity()
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)

    def forward(self, sequence, padding):
        shared = shared_padding(padding)  # masked everywhere, so it need not be computed
        sequence = self.position(sequence)[:, shared:]
        output = self.encoder(sequence, src_key_padding_mask=padding[:, shared:])
        return nn.functional.pad(output, (0, 0, shared, 0))  # zeros again: (B, T, 128)


def masked_mean(sequence, padding):
    """Mean over the steps that are not padding: (B, T, D), bool (B, T) -> (B, D); 0 of none."""
    weight = (~padding).unsqueeze(-1).to(sequence.dtype)  # (B, T, 1)
    return (sequence * weight).sum(1) / weight.sum(1).clamp(min=1)


class SelfAttentionFusion(nn.Module):
    """All sequences joined into one of M * T steps; every step attends to every other."""

    def __init__(self, num_modalities, dim=128):
        super().__init__()
        self.modality = nn.Parameter(0.02 * torch.randn(num_modalities, dim))
        self.encoder = TransformerEncoder(position=False, dim=dim)

    def forward(self, sequences, padding):
        tagged = [s + tag for s, tag in zip(sequences, self.modality, strict=True)]
        joined, mask = torch.cat(tagged, dim=1), padding.repeat(1, len(tagged))  # (B, M * T, 128)
        return masked_mean(self.encoder(joined, mask), mask)


class CrossAttentionFusion(nn.Module):
    """Every modality asks the others: its steps are queries, theirs are keys and values."""

    def __init__(self, num_modalities, dim=128, num_heads=4, dropout=0.1):
        super().__init__()
        if num_modalities < 2:
            raise ValueError('cross-attention needs at least two modalities')
        attention = [
            nn.MultiheadAttention(dim, num_heads, dropout, batch_first=True)
            for _ in range(num_modalities)
        ]
        self.attention, self.norm = nn.ModuleList(attention), nn.LayerNorm(dim)

    def forward(self, sequences, padding):
        fused = []
        for i, (query, attention) in enumerate(zip(sequences, self.attention, strict=True)):
            others = torch.cat([s for j, s in enumerate(sequences) if j != i], dim=1)
            mask = padding.repeat(1, len(sequences) - 1)  # (B, (M - 1) * T)
            answer, _ = attention(query, others, others, mask, need_weights=False)
            fused.append(self.norm(query + answer))  # (B, T, 128)
        return masked_mean(sum(fused), padding)


def make_encoder(encoder, position):
    """A module (B, T, 128), bool (B, T) -> (B, T, 128): 'lstm' or 'transformer'."""
    if encoder == 'lstm':
        return RecurrentEncoder(128, 128, batch_first=True)
    if encoder == 'transformer':
        return TransformerEncoder(position)
    raise ValueError(f"encoder must be 'lstm' or 'transformer'; got {encoder!r}")


class ModalityEncoders(nn.Module):
    """The first half of the baseline: LayerNorm, Linear, ReLU and encoder for each modality."""

    def __init__(self, modalities, widths, layer_norm, encoder, position):
        super().__init__()
        self.modalities = tuple(modalities)
        for name in self.modalities:
            norm = nn.LayerNorm(widths[name]) if layer_norm else nn.Identity()
            self.add_module(f'{name}_norm', norm)
        for name in self.modalities:
            self.add_module(f'{name}_fc', nn.Linear(widths[name], 128))
        for name in self.modalities:
            self.add_module(f'{name}_lstm', make_encoder(encoder, position))

    def encode(self, vision, text, audio):
        """The output sequence of every modality, a list of (B, T, 128), and the padding mask."""
        padding = padding_mask(vision, text, audio)
        features, sequences = {'vision': vision, 'text': text, 'audio': audio}, []
        once = StepsOnce(padding)
        for name in self.modalities:
            x = once.pick(features[name])  # (n, width)
            x = self.get_submodule(f'{name}_norm')(x)
            x = torch.relu(self.get_submodule(f'{name}_fc')(x))
            x = once.lay_out(x)  # (B, T, 128)
            sequences.append(self.get_submodule(f'{name}_lstm')(x, padding))
        return sequences, padding


class AblationModel(ModalityEncoders):
    """The baseline with one thing changed; the defaults give the baseline from its weights.

    `encoder`: 'lstm' or 'transformer' (`position=False` leaves its position encoding out).
    `fusion`: 'sum', 'self_attention' or 'cross_attention'. `modalities` are those used.
    """

    capturable = True  # on a GPU, the same kernels for every batch: `fit` may record them

    def __init__(
        self, encoder='lstm', fusion='sum', layer_norm=True, position=True,
        modalities=('vision', 'text', 'audio'), vision_dim=35, text_dim=300, audio_dim=74,
    ):  # fmt: skip
        widths = {'vision': vision_dim, 'text': text_dim, 'audio': audio_dim}
        super().__init__(modalities, widths, layer_norm, encoder, position)
        if fusion == 'sum':
            self.mm_lstm = make_encoder(encoder, position)
        elif fusion == 'self_attention':
            self.fusion = SelfAttentionFusion(len(self.modalities))
        elif fusion == 'cross_attention':
            self.fusion = CrossAttentionFusion(len(self.modalities))
        else:
            raise ValueError(f"fusion must be 'sum', 'self_' or 'cross_attention'; got {fusion!r}")
        self.fc = nn.Linear(128, 1)

    def forward(self, vision, text, audio):
        sequences, padding = self.encode(vision, text, audio)
        if hasattr(self, 'mm_lstm'):
            fused = self.mm_lstm(sum(sequences), padding)[:, -1]  # the last step: (B, 128)
        else:
            shared = shared_padding(padding)  # masked everywhere: cut off
            fused = self.fusion([s[:, shared:] for s in sequences], padding[:, shared:])
        return 6 * torch.sigmoid(self.fc(fused)) - 3  # (B, 1)


class ConstantModel(nn.Module):
    """The floor: one number for every utterance, (B, 1), whatever it is shown, however wide."""

    def __init__(self, value, **dims):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, vision, text, audio):
        return self.value.expand(len(text), 1)
