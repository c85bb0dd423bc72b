"""Opening a CMU-MOSI pickle: safely, once, and with a clear word about whatever is wrong in it.

A pickle can run code when it is opened, and MOSI comes from file-sharing sites. Here it is read
by an unpickler that knows numpy arrays and plain Python values and refuses everything else.
"""

import pickle
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

DEFAULT_PATH = './mosi_raw.pkl'
DOWNLOAD_URL = 'https://box.nju.edu.cn/f/e500686621044fb8af0e/'
SPLITS = ('train', 'valid', 'test')
MODALITIES = ('vision', 'text', 'audio')
STEPS = 50
WIDTHS = {'vision': 35, 'text': 300, 'audio': 74}
LABEL_RANGE = (-3.0, 3.0)


class DataError(ValueError):
    """The file is not what the lab can use; the message is one line: what, where, what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split in memory. N utterances of T = 50 steps; the arrays are read-only and shared.

    `vision` (N, T, 35), `text` (N, T, 300), `audio` (N, T, 74) and `labels` (N,) are float32;
    `ids` and `raw_text` are tuples of N strings (`raw_text` is empty when the file has none);
    `repaired` counts per modality the cells that were +inf, -inf or nan and are now 0.0.
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
        """True number of steps of each utterance, int64 (N,); see `true_lengths`."""
        return true_lengths(self.vision, self.text, self.audio)

    def words(self, index):
        """The words of an utterance, one per true step; step numbers where the file has none."""
        if self.raw_text:
            return self.raw_text[index].split()
        return [str(step) for step in range(1, self.lengths[index] + 1)]

    @property
    def is_standin(self):
        """Whether the utterances come from the lab's synthetic stand-in and not from MOSI."""
        return self.ids[0].startswith('standin')


def true_lengths(vision, text, audio):
    """Number of steps after the padding at the front, int64 (N,), for arrays of (N, T, width).

    A step is padding when all three modalities are zero there and no earlier step is non-zero;
    an utterance of nothing but padding keeps its last step.
    """
    filled = vision.any(-1) | text.any(-1) | audio.any(-1)
    filled[:, -1] = True
    return filled.shape[1] - filled.argmax(axis=1)


def load_split(path, split='train'):
    """The `Split` of that name. A file is opened once, however many of its splits are asked for.

    Raises FileNotFoundError when there is no such file, DataError when it is not a MOSI pickle,
    ValueError for a split that does not exist.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be one of {", ".join(SPLITS)}; got {split!r}')
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'no data file {path}: download mosi_raw.pkl from {DOWNLOAD_URL}, or make the '
            f'synthetic stand-in with "python -m msa_lab.standin" and pass its path'
        )
    stat = path.stat()
    return _load_file(path.resolve(), stat.st_mtime_ns, stat.st_size)[split]


@lru_cache(maxsize=2)
def _load_file(path, _mtime_ns, _size):
    """All splits of a file, checked and repaired; cached until the file changes."""
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise DataError(f'{path.name}: expected a dict of splits, found {_kind(content)}')
    if missing := [split for split in SPLITS if split not in content]:
        found = ', '.join(map(str, content)) or 'nothing'
        raise DataError(f'{path.name}: no split {", ".join(map(repr, missing))}; found {found}')
    return {split: _read_split(content.pop(split), split, path.name) for split in SPLITS}


def _read_split(fields, split, name):
    """One split of the pickled dict, checked; `fields` is emptied, so that raw arrays are freed."""
    where = f'{name}, split {split!r}'
    if not isinstance(fields, dict):
        raise DataError(f'{where}: expected a dict of arrays, found {_kind(fields)}')
    if missing := [key for key in (*MODALITIES, 'labels', 'id') if key not in fields]:
        raise DataError(f'{where}: no field {", ".join(map(repr, missing))}')

    labels = _read_labels(fields.pop('labels'), f"{where}, field 'labels'")
    features, repaired = {}, {}
    for modality in MODALITIES:
        field = f'{where}, field {modality!r}'
        expected = (len(labels), STEPS, WIDTHS[modality])
        array = _floats(fields.pop(modality), field)
        if array.shape != expected:
            raise DataError(f'{field}: expected shape {expected}, found {array.shape}')
        features[modality], repaired[modality] = _repair(array)
    raw_text = ()
    if 'raw_text' in fields:
        raw_text = _strings(fields['raw_text'], len(labels), f"{where}, field 'raw_text'")
    return Split(
        **features,
        labels=labels,
        ids=_strings(fields['id'], len(labels), f"{where}, field 'id'"),
        raw_text=raw_text,
        repaired=repaired,
    )


def _read_labels(value, field):
    """Labels of (N,), (N, 1) or (N, 1, 1) as read-only float32 (N,), all finite and in range."""
    labels = _floats(value, field)
    if not labels.size:
        raise DataError(f'{field}: the split is empty')
    if labels.ndim == 0 or labels.size != len(labels):
        raise DataError(f'{field}: expected shape (N,), (N, 1) or (N, 1, 1), found {labels.shape}')
    labels = labels.reshape(-1).astype(np.float32)
    low, high = LABEL_RANGE
    wrong = np.flatnonzero(~((labels >= low) & (labels <= high)))
    if wrong.size:
        raise DataError(
            f'{field}: expected numbers in [{low:g}, {high:g}], '
            f'found {labels[wrong[0]]} at utterance {wrong[0]} ({wrong.size} in all)'
        )
    labels.flags.writeable = False
    return labels


def _floats(value, field):
    """The value as a plain array if it is one of real numbers, else a DataError."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in 'fiu':
        raise DataError(f'{field}: expected an array of floats, found {_kind(value)}')
    return np.asarray(value)


def _repair(array):
    """A read-only float32 copy with every non-finite cell set to 0.0, and how many there were."""
    with np.errstate(over='ignore'):
        repaired = array.astype(np.float32)
    bad = ~np.isfinite(repaired)
    repaired[bad] = 0.0
    repaired.flags.writeable = False
    return repaired, int(bad.sum())


def _strings(value, count, field):
    """The N strings of a list or an array, as a tuple."""
    if isinstance(value, np.ndarray):
        value = value.reshape(-1).tolist()
    if not isinstance(value, (list, tuple)):
        raise DataError(f'{field}: expected {count} strings, found {_kind(value)}')
    if len(value) != count:
        raise DataError(f'{field}: expected {count} strings, found {len(value)}')
    value = [v.item() if isinstance(v, np.ndarray) and v.size == 1 else v for v in value]
    if wrong := [v for v in value if not isinstance(v, (str, bytes, int))]:
        raise DataError(f'{field}: expected strings, found {_kind(wrong[0])}')
    return tuple(v.decode('utf-8', 'replace') if isinstance(v, bytes) else str(v) for v in value)


def _kind(value):
    """A short name of what came, for error messages."""
    if isinstance(value, np.ndarray):
        return f'an array of {value.dtype} {value.shape}'
    return f'a {type(value).__name__}'


class RefusedError(pickle.UnpicklingError):
    """The pickle asked for something that arrays do not need."""


class _Dtype:
    """What a pickle may say of a dtype: kind, size and byte order.

    numpy's own dtype takes any memory layout from a pickle without question, and crashes on some.
    """

    __slots__ = ('value',)

    def __init__(self, code, *_):
        if not re.fullmatch(r'[fiubSUO]\d{0,6}', code):
            raise RefusedError(f'refused: numpy.dtype {code!r}')
        self.value = np.dtype('O' if code[0] == 'O' else code)

    def __setstate__(self, state):
        _, order, *fields = state[:5]
        if fields != [None] * 3 or order not in ('<', '>', '|', '='):
            raise RefusedError('refused: a numpy.dtype with fields')
        self.value = self.value.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes its dtype from a `_Dtype`."""

    def __setstate__(self, state):
        version, shape, dtype, fortran, content = state
        super().__setstate__((version, shape, dtype.value, fortran, content))


class _Call:
    """A function that a pickle can call and cannot change (functions have settable attributes)."""

    __slots__ = ('function',)

    def __init__(self, function):
        object.__setattr__(self, 'function', function)

    def __setattr__(self, name, value):
        raise RefusedError('refused: changing a function')

    def __call__(self, *args):
        return self.function(*args)


def _latin1(text, encoding='latin1'):
    """What pickle protocol 2 uses to carry bytes: the one codec it needs, no other."""
    if encoding != 'latin1':
        raise RefusedError(f'refused: _codecs.encode to {encoding!r}')
    return text.encode('latin1')


def _empty_array(kind, shape, code):
    """numpy's `_reconstruct`; what follows in the pickle fills the array."""
    return _Array((0,), 'i1')


def _frombuffer(content, dtype, shape, order):
    return np.frombuffer(content, dtype.value).reshape(shape, order=order)


def _scalar(dtype, content):
    return np.frombuffer(content, dtype.value)[0]


def _allowed_globals():
    """The (module, name) pairs that plain arrays need, for numpy 1 and numpy 2."""
    allowed = {
        ('numpy', 'ndarray'): None,  # may be named, not called
        ('numpy', 'dtype'): _Dtype,
        ('_codecs', 'encode'): _Call(_latin1),
    }
    for core in ('numpy.core', 'numpy._core'):
        allowed[f'{core}.multiarray', '_reconstruct'] = _Call(_empty_array)
        allowed[f'{core}.multiarray', 'scalar'] = _Call(_scalar)
        allowed[f'{core}.numeric', '_frombuffer'] = _Call(_frombuffer)
    return allowed


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler for numpy arrays and plain Python values; all else is refused by name."""

    allowed = _allowed_globals()

    def find_class(self, module, name):
        try:
            return self.allowed[module, name]
        except KeyError:
            raise RefusedError(f'refused: {module}.{name}') from None


def read_pickle(path):
    """The content of a pickle of arrays and plain values (numpy 1 or 2, Python 2 or 3).

    Nothing in the file is executed. Raises DataError, with what was refused or broken.
    """
    path = Path(path)
    try:
        with path.open('rb') as file:
            return _ArrayUnpickler(file, encoding='latin1').load()
    except Exception as error:  # a broken pickle may raise anything
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        if isinstance(error, RefusedError):
            reason = f'{error}, which a file of arrays does not need; nothing was executed'
        raise DataError(f'{path.name}: not a readable pickle of arrays ({reason})') from None
