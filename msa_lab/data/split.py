"""One split of MOSI in memory, and what can be said of it: lengths, padding, doubts."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msa_lab.data.format import MODALITIES, STEPS



@dataclass(frozen=True, eq=False)
class Split:
    """One split in memory. N utterances of T = 50 steps; the arrays are read-only and shared.

    `vision`, `text`, `audio` (N, T, width; 35, 300, 74 in `mosi_raw.pkl`) and `labels` (N,) are
    float32; padding is at the front, wherever the file has it. `ids` and `raw_text` are tuples of
    N strings (`raw_text` is empty when the file has none); `repaired` counts per modality the
    cells that were +inf, -inf or nan and are now 0.0.
    """

    vision: np.ndarray
    text: np.ndarray
    audio: np.ndarray
    labels: np.ndarray
    ids: tuple
    raw_text: tuple
    repaired: dict

    def __len__(self):
        return len(self.labels)

    @cached_property
    def lengths(self):
        """Number of steps of each utterance that are not padding, int64 (N,)."""
        return STEPS - padding_mask(self.vision, self.text, self.audio).sum(axis=1)

    @cached_property
    def videos(self):
        """The video of each utterance: its id without the segment ('VIDEO[3]', 'VIDEO$_$3')."""
        return tuple(re.split(r'\[|\$_\$', name)[0] for name in self.ids)

    def words(self, index):
        """The words of an utterance, one per true step; step numbers where that is not known."""
        words = self.raw_text[index].split() if self.raw_text else []
        if len(words) == self.lengths[index]:
            return words
        return [str(step) for step in range(1, self.lengths[index] + 1)]

    def sentence(self, index):
        """What was said, as far as the file tells: its `raw_text`, else the step numbers."""
        return self.raw_text[index] if self.raw_text else ' '.join(self.words(index))

    @property
    def is_standin(self):
        """Whether the utterances come from the lab's synthetic stand-in and not from MOSI."""
        return self.ids[0].startswith('standin')


def padding_mask(vision, text, audio):
    """Which steps are padding, bool (N, T); of three arrays or three tensors (N, T, width).

    A step is padding when all three modalities are zero there and no earlier step is non-zero;
    an utterance of nothing but padding keeps its last step.
    """
    filled = _filled(vision, text, audio)
    filled[:, -1] = True
    return filled.cumsum(1) == 0


def _filled(vision, text, audio):
    """Which steps hold anything, bool (N, T)."""
    return vision.any(-1) | text.any(-1) | audio.any(-1)


def padding_side(splits):
    """Where short utterances are filled up with zeros: 'front' or 'back'.

    `splits` are Split objects; the side where more utterances have an empty step counts.
    """
    front = back = 0
    for data in splits:
        features = [getattr(data, name) for name in MODALITIES]
        front += np.count_nonzero(~_filled(*(x[:, :1] for x in features)))
        back += np.count_nonzero(~_filled(*(x[:, -1:] for x in features)))
    return 'back' if back > front else 'front'


def move_padding_to_front(data):
    """Shift every utterance, in place, so that its last filled step is its last step."""
    features = [getattr(data, name) for name in MODALITIES]
    shifts = _filled(*features)[:, ::-1].argmax(axis=1)
    for shift in np.unique(shifts[shifts > 0]):
        rows = shifts == shift
        for array in features:
            array[rows] = np.roll(array[rows], shift, axis=1)


def doubts(splits):
    """What makes results on these splits doubtful, a list of lines; `splits` is {name: Split}."""
    lines = []
    for name, data in splits.items():
        if len(data) == 1:
            lines.append(f'split {name!r} has one utterance: no correlation, no mean can be judged')
        features = [getattr(data, modality) for modality in MODALITIES]
        if not _filled(*(x[:, -1:] for x in features)).all() and len(
            empty := np.flatnonzero(~_filled(*features).any(1))
        ):
            lines.append(
                f'split {name!r}: {len(empty)} utterances of nothing but padding, '
                f'{some(data.ids[i] for i in empty)}: no model can tell them apart'
            )
    owners = Counter(name for data in splits.values() for name in set(data.ids))
    if repeated := sorted(name for name, count in owners.items() if count > 1):
        lines.append(
            f'{len(repeated)} ids stand in more than one split, {some(repeated)}: a leak, test '
            f'results on this file are too good'
        )
    return lines


def some(names, most=5):
    """The first names of a collection, in words."""
    names = list(names)
    first = ', '.join(shown(name[:50]) for name in names[:most])
    return first + (f' and {len(names) - most} more' if names[most:] else '')


def shown(name):
    """A name that comes from a file, on one line and without control characters."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
