"""One split of MOSI in memory: its arrays, which steps are padding, and what is wrong with it."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from msa_lab.data.errors import list_names
from msa_lab.data.format import LABEL_RANGE, MODALITIES, STEPS
from msa_lab.data.words import split_words

STANDINS = ('reviews', 'synthetic')  # the ids of their utterances begin so
# At least this share of the utterances of an aligned file begin at one step in text and audio: all
# but those whose first word has no vector (6% of `reviews`). Of fewer utterances it is not said.
ALIGNED, ENOUGH = 0.85, 30
Features = TypeVar('Features')  # np.ndarray or torch.Tensor; torch is not imported here


@dataclass(frozen=True, eq=False)
class Split:
    """One split in memory: N utterances of T = 50 steps. The arrays are read-only and shared.

    `vision`, `text`, `audio` (N, T, width; 35, 300, 74 in `mosi_raw.pkl`) and `labels` (N,) are
    float32; padding is at the front, wherever the file has it. `ids` and `raw_text` are tuples of
    N strings (`raw_text` is empty when the file has no sentences). `repaired` counts for each
    modality the cells that were +inf, -inf or nan in the file and are 0.0 here. `ratings` (N, R)
    are the scores of single raters, nan where there are fewer than R; None in a file without them.
    """

    vision: np.ndarray
    text: np.ndarray
    audio: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    raw_text: tuple[str, ...]
    repaired: dict[str, int]
    ratings: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of steps of each utterance that are not padding, int64 (N,)."""
        return STEPS - padding_mask(self.vision, self.text, self.audio).sum(axis=1)

    @cached_property
    def videos(self) -> tuple[str, ...]:
        """The video of each utterance, as in `list_videos`."""
        return tuple(list_videos(self.ids))

    def words(self, index: int) -> list[str]:
        """One word for each step of the utterance that is not padding.

        Where the file has no sentence, or not one word per step, they are '1', '2', '3', ...
        """
        sentence = self.raw_text[index] if self.raw_text else ''
        spaced, split = sentence.split(), split_words(sentence)[:STEPS]
        # Equal counts do not mean equal words ("It isn't bad -"), so the stand-in's own cut comes
        # first where the lab cut the sentence itself.
        for words in (split, spaced) if self.standin == 'reviews' else (spaced, split):
            if len(words) == self.lengths[index]:
                return words
        return [str(step) for step in range(1, self.lengths[index] + 1)]

    def sentence(self, index: int) -> str:
        """The sentence of the utterance; where the file has none, the numbers of its steps."""
        return self.raw_text[index] if self.raw_text else ' '.join(self.words(index))

    @property
    def standin(self) -> str:
        """The stand-in that the utterances come from: 'reviews', 'synthetic', or '' for none."""
        return next((name for name in STANDINS if self.ids[0].startswith(f'{name}0')), '')


def list_videos(ids: Iterable[str]) -> list[str]:
    """The video that each utterance is from: its id without the segment, 'VIDEO[3]', 'VIDEO$_$3'.

    Where every id is 'VIDEO_3', as in MulT's file, that is the segment. The utterances of a video
    have one speaker.
    """
    names = [re.split(r'\[|\$_\$', name)[0] for name in ids]
    if all(re.fullmatch(r'.+_\d+', name) for name in names):
        return [name.rpartition('_')[0] for name in names]
    return names


def padding_mask(vision: Features, text: Features, audio: Features) -> Features:
    """Which steps of the utterances are padding: bool (N, T), True where a step is padding.

    The features are three numpy arrays or three torch tensors (N, T, width); the mask is of the
    same kind and on the same device. A step is padding when all three modalities are zero there
    and no earlier step is non-zero; an utterance of nothing but padding keeps its last step.
    """
    filled = _filled_steps(vision, text, audio)
    filled[:, -1] = True
    return filled.cumsum(1) == 0


def _filled_steps(vision, text, audio):
    """Which steps have a non-zero feature in any modality, bool (N, T); arrays or tensors."""
    return vision.any(-1) | text.any(-1) | audio.any(-1)


def find_padding_side(splits: Iterable[Split]) -> str:
    """The side on which the file of these splits fills up short utterances: 'front' or 'back'.

    It is the side on which more utterances have an empty step.
    """
    front = back = 0
    for data in splits:
        features = [getattr(data, name) for name in MODALITIES]
        front += np.count_nonzero(~_filled_steps(*(x[:, :1] for x in features)))
        back += np.count_nonzero(~_filled_steps(*(x[:, -1:] for x in features)))
    return 'back' if back > front else 'front'


def move_padding_to_front(data: Split) -> None:
    """Shift every utterance, in place, so that its last filled step becomes its last step."""
    features = [getattr(data, name) for name in MODALITIES]
    shifts = _filled_steps(*features)[:, ::-1].argmax(axis=1)
    for shift in np.unique(shifts[shifts > 0]):
        rows = shifts == shift
        for array in features:
            array[rows] = np.roll(array[rows], shift, axis=1)


def clear_padded_text(data: Split, mask: np.ndarray | None) -> int:
    """Set to zero, in place, what a text encoder left on padded steps; in how many utterances.

    BERT gives padded steps vectors as large as a word's, so every utterance looks 50 steps long.
    `mask`, bool (N, T), is True where a step is a token. Without one, the utterance is as long as
    vision and audio, but only where the text of the whole split is filled.
    """
    filled = data.text.any(-1)
    if mask is None:
        mask = data.vision.any(-1) | data.audio.any(-1)
        mask &= filled.all()
    rows = filled.all(1) & mask.any(1) & ~mask.all(1)
    for modality in MODALITIES:
        features = getattr(data, modality)
        features[rows] *= mask[rows, :, None]
    return int(rows.sum())


def measure_alignment(splits: Iterable[Split]) -> dict[str, float]:
    """How well the steps of the modalities belong together, over the utterances of all splits.

    'vision' and 'audio' are the shares of utterances (0 to 1) in which the first filled step of
    that modality is the first of the text too; utterances that a modality leaves empty do not
    count. 'full' is the number of utterances whose first step is filled in every modality: those
    may have been cut, each modality at another end, and nothing in the file would show it.
    """
    starts = {name: [] for name in MODALITIES}
    for data in splits:
        filled = {name: getattr(data, name).any(-1) for name in MODALITIES}
        judged = np.logical_and.reduce([x.any(1) for x in filled.values()])
        for name, x in filled.items():
            starts[name].append(x[judged].argmax(1))
    starts = {name: np.concatenate(parts) for name, parts in starts.items()}
    full = sum(starts.values()) == 0
    if not full.size:
        return {'vision': 1.0, 'audio': 1.0, 'full': 0}
    return {
        'vision': float((starts['vision'] == starts['text']).mean()),
        'audio': float((starts['audio'] == starts['text']).mean()),
        'full': int(full.sum()),
    }


def find_warnings(splits: dict[str, Split]) -> list[str]:
    """A line for each reason why results on these splits may be misleading; `{name: Split}`."""
    lines = []
    values = np.unique(np.concatenate([data.labels for data in splits.values()]))
    if len(values) <= 3 < sum(map(len, splits.values())):
        found = ', '.join(f'{value:g}' for value in values)
        lines.append(
            f'the labels take no value but {found}: classes, not scores from {LABEL_RANGE[0]:g} to '
            f'{LABEL_RANGE[1]:g}; MAE and Corr mean little, and an accuracy may be perfect'
        )
    aligned = measure_alignment(splits.values())
    if aligned['audio'] < ALIGNED and sum(map(len, splits.values())) >= ENOUGH:
        lines.append(
            f'the audio begins at another step than the text in {1 - aligned["audio"]:.0%} of the '
            f'utterances (pauses were left out of the text alone?): there, step t of the text and '
            f'of the audio belong to different words'
        )
    for name, data in splits.items():
        if len(values) > 1 and len(data) > 1 and len(np.unique(data.labels)) == 1:
            lines.append(f'split {name!r}: all labels are {data.labels[0]:g}: no Corr can be had')
        lines += [
            f'split {name!r}: {modality} is zero in every utterance (or was not finite): '
            f'no model can learn from it'
            for modality in MODALITIES
            if not getattr(data, modality).any()
        ]
        if len(data) == 1:
            lines.append(f'split {name!r} has one utterance: no correlation, no mean can be judged')
        features = [getattr(data, modality) for modality in MODALITIES]
        if not _filled_steps(*(x[:, -1:] for x in features)).all() and len(
            empty := np.flatnonzero(~_filled_steps(*features).any(1))
        ):
            lines.append(
                f'split {name!r}: {len(empty)} utterances of nothing but padding, '
                f'{list_names(data.ids[i] for i in empty)}: no model can tell them apart'
            )
    owners = Counter(name for data in splits.values() for name in set(data.ids))
    if repeated := sorted(name for name, count in owners.items() if count > 1):
        lines.append(
            f'{len(repeated)} ids stand in more than one split, {list_names(repeated)}: a leak, '
            f'test results on this file are too good'
        )
    return lines
