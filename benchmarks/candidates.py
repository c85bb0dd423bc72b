"""The candidates for the improved model of question 3, under the names of their table.

The improved model ("words, averaged, MAE loss") and each of its parts left out, the gated model of
the lab's first edition and its parts, and ideas from the literature that need no pretrained model.
`benchmarks.improved_model choose` compares them.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

import msa_utils
from msa_lab.data import padding_mask
from msa_lab.models import masked_mean
from msa_lab.models.padding import pack_true_steps, roll_steps


def unpack_true_steps(packed: PackedSequence, padding: Tensor) -> Tensor:
    """The reverse of `pack_true_steps`: (B, T, H), padding in front again and filled with zeros."""
    steps = padding.shape[1]
    sequence, _ = pad_packed_sequence(packed, batch_first=True, total_length=steps)
    return roll_steps(sequence, -padding.sum(1))


class PackedLSTM(nn.LSTM):
    """An LSTM that reads the true steps alone: (B, T, D), bool (B, T) -> (B, T, H).

    The output is 0 where `padding` is True. Needed by the direction that reads backwards: it
    begins at the last word and must end at the first.
    """

    def forward(self, sequence, padding):
        output, _ = super().forward(pack_true_steps(sequence, padding))
        return unpack_true_steps(output, padding)  # (B, T, H)


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
    """A weighted mean over the words: (B, T, D), bool (B, T) -> (B, D).

    The weights sum to 1 over the true steps and are 0 on padding (Yang et al., NAACL 2016).
    """

    def __init__(self, dim):
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, sequence, padding):
        scores = self.score(sequence).squeeze(-1)  # (B, T, 1) -> (B, T)
        weights = scores.masked_fill(padding, float('-inf')).softmax(dim=1)
        return (weights.unsqueeze(1) @ sequence).squeeze(1)  # (B, 1, D) -> (B, D)


class GatedModel(nn.Module):
    """The improved model of the first edition: words lead, vision and audio move them by gates.

    `forward(vision, text, audio)` takes float tensors (B, T, 35), (B, T, 300), (B, T, 74) and
    returns (B, 1), a score in (-3, 3). The feature widths are keyword arguments.
    """

    def __init__(self, vision_dim=35, text_dim=300, audio_dim=74):
        super().__init__()
        self.text_norm = nn.LayerNorm(text_dim)
        self.text_dropout = nn.Sequential(msa_utils.WordDropout(0.1), nn.Dropout(0.3))
        self.text_lstm = PackedLSTM(text_dim, 128, batch_first=True, bidirectional=True)
        self.vision_summary = msa_utils.UtteranceSummary(vision_dim)
        self.audio_summary = msa_utils.UtteranceSummary(audio_dim)
        self.shift = GatedShift()
        self.pooling = AttentionPooling(256)
        self.fc = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(256, 64), nn.ReLU()),
            *(nn.Dropout(0.25), nn.Linear(64, 1)),
        )

    def forward(self, vision, text, audio):
        padding = padding_mask(vision, text, audio)
        words = self.text_dropout(self.text_norm(text))
        words = self.text_lstm(words, padding)  # (B, T, 256)
        vision = self.vision_summary(vision, ~vision.any(-1))  # (B, 32)
        audio = self.audio_summary(audio, ~audio.any(-1))
        words = self.shift(words, vision, audio)  # (B, T, 256)
        return 3 * torch.tanh(self.fc(self.pooling(words, padding)))  # (B, 256) -> (B, 1)


class Pointwise(nn.Module):
    """In place of `GatedShift`: the two summaries are added to every word, without a gate.

    Text (B, T, 256), vision and audio (B, 32) -> (B, T, 256).
    """

    def __init__(self):
        super().__init__()
        self.vision_fc = nn.Linear(32, 256, bias=False)
        self.audio_fc = nn.Linear(32, 256, bias=False)
        self.norm = nn.LayerNorm(256)

    def forward(self, text: Tensor, vision: Tensor, audio: Tensor) -> Tensor:
        return self.norm(text + (self.vision_fc(vision) + self.audio_fc(audio)).unsqueeze(1))


class MeanPooling(nn.Module):
    """In place of `AttentionPooling`, the plain mean: (B, T, D), bool (B, T) -> (B, D)."""

    def forward(self, sequence: Tensor, padding: Tensor) -> Tensor:
        return masked_mean(sequence, padding)


def without_part(part: str, build: type[nn.Module] = GatedModel) -> nn.Module:
    """The gated or the improved model with one part left out, or done as in the baseline.

    `part` is one of `PARTS`; the improved model has only the `SHARED_PARTS`. Raises ValueError for
    another part.
    """
    model = build()
    summaries = model.vision_summary, model.audio_summary
    if part == 'gates':
        model.shift = Pointwise()
    elif part == 'attention pooling':
        model.pooling = MeanPooling()
    elif part == 'dropout':  # of words, of modalities, and of single units
        for module in model.modules():
            if isinstance(module, (nn.Dropout, msa_utils.WordDropout)):
                module.p = 0.0
        for summary in summaries:
            summary.p_modality = 0.0
    elif part == 'standardised features':
        for summary in summaries:
            summary.norm = nn.LayerNorm(summary.norm.num_features)  # as in the baseline
    elif part == 'vision and audio':
        for summary in summaries:
            summary.p_modality = 1.0
            nn.init.zeros_(summary.fc[1].weight).requires_grad_(False)
            nn.init.zeros_(summary.fc[1].bias).requires_grad_(False)
    else:
        raise ValueError(f'no part {part!r}: {PARTS}')
    return model


SHARED_PARTS = ['dropout', 'standardised features', 'vision and audio']
PARTS = ['gates', 'attention pooling', *SHARED_PARTS]


def with_loss(build: Callable[[], nn.Module], loss: type[nn.Module]) -> nn.Module:
    """The model of `build()`, trained with another loss."""
    model = build()
    model.criterion = loss  # in place of the method: `criterion()` makes the loss
    return model


class PooledFusion(nn.Module):
    """The second LSTM of the baseline, read by attention over all true steps.

    A list of (B, T, 128) and bool padding (B, T) -> (B, 128).
    """

    def __init__(self):
        super().__init__()
        self.mm_lstm = nn.LSTM(128, 128, batch_first=True)
        self.pooling = AttentionPooling(128)

    def forward(self, sequences: list[Tensor], padding: Tensor) -> Tensor:
        states, _ = self.mm_lstm(sum(sequences))  # (B, T, 128)
        return self.pooling(states, padding)


def pooled_baseline() -> nn.Module:
    """The baseline with `PooledFusion` in place of the last state of its second LSTM."""
    model = msa_utils.AblationModel(fusion='average')
    model.fusion = PooledFusion()
    return model


class SmallBaseline(nn.Module):
    """The baseline with 32 units in place of 128, a tenth of its parameters.

    As for all candidates, the weights are those of the best epoch, which is early stopping.
    """

    def __init__(self, size: int = 32):
        super().__init__()
        widths = {'vision': 35, 'text': 300, 'audio': 74}
        self.encoders = nn.ModuleDict(
            {
                name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, size), nn.ReLU())
                for name, width in widths.items()
            }
        )
        self.lstms = nn.ModuleDict({name: nn.LSTM(size, size, batch_first=True) for name in widths})
        self.mm_lstm = nn.LSTM(size, size, batch_first=True)
        self.fc = nn.Linear(size, 1)

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        features = {'vision': vision, 'text': text, 'audio': audio}
        feature = sum(
            self.lstms[name](encode(features[name]))[0] for name, encode in self.encoders.items()
        )
        _, (hidden, _) = self.mm_lstm(feature)
        return 6 * torch.sigmoid(self.fc(hidden[-1])) - 3


class LateFusion(nn.Module):
    """The improved model with another reader or pooling of its words, trained with the MSE.

    `pooling` takes (B, T, 256) and the padding, and gives (B, 256); None is `AttentionPooling`.
    `read` is 'lstm' (both directions) or 'words' (each word through Linear and ReLU alone, as in
    the improved model).
    """

    def __init__(self, read: str, pooling: nn.Module | None = None):
        super().__init__()
        self.norm = nn.LayerNorm(300)
        self.dropout = nn.Sequential(msa_utils.WordDropout(0.1), nn.Dropout(0.3))
        self.lstm = self.fc_words = None
        if read == 'lstm':
            self.lstm = PackedLSTM(300, 128, batch_first=True, bidirectional=True)
        else:
            self.fc_words = nn.Sequential(nn.Linear(300, 256), nn.ReLU())
        self.pooling = pooling or AttentionPooling(256)
        self.vision_summary = msa_utils.UtteranceSummary(35)
        self.audio_summary = msa_utils.UtteranceSummary(74)
        self.fc = nn.Sequential(
            *(nn.Dropout(0.5), nn.Linear(256 + 64, 64), nn.ReLU()),
            *(nn.Dropout(0.25), nn.Linear(64, 1)),
        )

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        padding = padding_mask(vision, text, audio)
        words = self.dropout(self.norm(text))
        words = self.fc_words(words) if self.lstm is None else self.lstm(words, padding)
        pooled = self.pooling(words, padding)  # (B, 256)
        vision = self.vision_summary(vision, ~vision.any(-1))  # (B, 32)
        audio = self.audio_summary(audio, ~audio.any(-1))
        return 3 * torch.tanh(self.fc(torch.cat([pooled, vision, audio], dim=1)))


class WordsInThrees(nn.Module):
    """Every word with its two neighbours through one layer (Kim, EMNLP 2014): 300 -> 256 units.

    A sequence (B, T, 300) -> (B, T, 256); so *not good* differs from *good*, without an LSTM.
    """

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv1d(300, 256, kernel_size=3, padding=1)

    def forward(self, words: Tensor) -> Tensor:
        return torch.relu(self.convolution(words.transpose(1, 2)).transpose(1, 2))


def words_in_threes() -> nn.Module:
    """`LateFusion` of words, each read with its two neighbours."""
    model = LateFusion('words')
    model.fc_words = WordsInThrees()
    return model


class SwappedWords(nn.Module):
    """The gated model, trained on sentences with neighbouring words swapped and words hidden.

    Two of the four operations of Wei and Zou (EMNLP 2019), those that need no dictionary: every
    true step changes places with the step before it with probability 0.1, and `WordDropout` hides
    words with probability 0.2 in place of 0.1. Voice and face stay where they are.
    """

    def __init__(self):
        super().__init__()
        self.model = GatedModel()
        self.model.text_dropout[0].p = 0.2

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        if self.training:
            text = self.swap(text, padding_mask(vision, text, audio))
        return self.model(vision, text, audio)

    def swap(self, text: Tensor, padding: Tensor) -> Tensor:
        """Some true steps of (B, T, 300) exchanged with the true step before them."""
        batch, steps = padding.shape
        order = torch.arange(steps, device=text.device).repeat(batch, 1)
        chosen = torch.rand(batch, steps, device=text.device) < 0.1
        chosen[:, 1:] &= ~padding[:, :-1]  # only true steps have a true step before them
        chosen[:, 0] = False
        for step in range(1, steps):  # one after the other, so that every step is kept
            rows = chosen[:, step]
            order[rows, step - 1], order[rows, step] = order[rows, step], order[rows, step - 1]
        return torch.take_along_dim(text, order.unsqueeze(-1), dim=1)


class AveragedWeights(nn.Module):
    """A model that is evaluated with a moving average of its weights over the training steps.

    After Polyak and Juditsky (1992), with the exponential decay of 0.99 a step: about the last
    hundred steps count.
    """

    def __init__(self, model: nn.Module, decay: float = 0.99):
        super().__init__()
        self.model, self.average, self.decay = model, deepcopy(model).requires_grad_(False), decay
        self.steps = 0

    def forward(self, vision: Tensor, text: Tensor, audio: Tensor) -> Tensor:
        if not self.training:
            return self.average(vision, text, audio)
        self.update()
        return self.model(vision, text, audio)

    def update(self) -> None:
        """Move the average towards the weights as they are; a plain mean in the first steps."""
        self.steps += 1
        decay = min(self.decay, 1 - 1 / self.steps)
        with torch.no_grad():
            new = self.model.state_dict()
            for name, average in self.average.state_dict().items():
                value = new[name]
                if average.is_floating_point():
                    average.lerp_(value, 1 - decay)
                else:
                    average.copy_(value)


CANDIDATES = {
    'baseline': msa_utils.AblationModel,
    'baseline, MAE loss': partial(with_loss, msa_utils.AblationModel, nn.L1Loss),
    'baseline, attention pooling': pooled_baseline,
    'baseline, self-attention': partial(msa_utils.AblationModel, fusion='self_attention'),
    'small baseline': SmallBaseline,
    'words, averaged': partial(with_loss, msa_utils.ImprovedSentimentModel, nn.MSELoss),
    'words, averaged, averaged weights': lambda: AveragedWeights(  # trained with the MSE
        msa_utils.ImprovedSentimentModel()
    ),
    'words, averaged, MAE loss': msa_utils.ImprovedSentimentModel,
    **{
        f'words, averaged, MAE loss, without {part}': partial(
            without_part, part, msa_utils.ImprovedSentimentModel
        )
        for part in SHARED_PARTS
    },
    'words, attention pooling': lambda: LateFusion('words'),
    'words in threes, attention pooling': words_in_threes,
    'LSTM, averaged': lambda: LateFusion('lstm', MeanPooling()),
    'LSTM, attention pooling': lambda: LateFusion('lstm'),
    'gated': GatedModel,
    **{f'gated, without {part}': partial(without_part, part) for part in PARTS},
    'gated, averaged weights': lambda: AveragedWeights(GatedModel()),
    'gated, words swapped': SwappedWords,
}
