"""Opening a CMU-MOSI pickle: any public packing, once, and a clear word about what is wrong in it.

A pickle can run code when it is opened, and MOSI comes from file-sharing sites. Here it is read
as data (`pickle_reader.py`): numpy arrays and plain values; everything else is refused by name.
"""

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from msa_lab.data.format import DOWNLOAD_URL, LABEL_RANGE, MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.pickle_reader import read_pickle
from msa_lab.data.split import (
    Split,
    doubts,
    move_padding_to_front,
    padding_side,
    shown,
    some,
)
from msa_lab.data.pickled_arrays import PickleError, PickledArray

MAX_TEXT, MAX_TEXTS = 10_000, 1 << 24  # characters of an id or of what was said, and of all

# What other packings call the same things.
SPELLINGS = {'valid': ('valid', 'dev', 'val'), 'labels': ('labels', 'regression_labels')}

# What a file that is no pickle begins with, and what to do about it.
OTHER_FILES = {
    b'version https://git-lfs': 'is a Git LFS pointer, not the file itself: run "git lfs pull" '
    'where it comes from, or download the file from its web page',
    b'PK\x03\x04': 'is a zip archive: unpack it and give the .pkl file inside',
    b'\x1f\x8b': 'is compressed (gzip): unpack it and give the .pkl file inside',
    b'BZh': 'is compressed (bzip2): unpack it and give the .pkl file inside',
    b'\xfd7zXZ': 'is compressed (xz): unpack it and give the .pkl file inside',
    b'(\xb5/\xfd': 'is compressed (zstd): unpack it and give the .pkl file inside',
    b"7z\xbc\xaf'\x1c": 'is a 7z archive: unpack it and give the .pkl file inside',
    b'Rar!': 'is a rar archive: unpack it and give the .pkl file inside',
    b'\x89HDF': 'is an HDF5 file (a .csd of the CMU SDK?): the lab reads a pickle of MOSI',
    b'\x93NUMPY': 'is a single numpy array: the lab reads a pickle of all splits',
    b'%PDF': 'is a PDF: the lab reads a pickle of MOSI',
}


class DataError(ValueError):
    """The file is not what the lab can use; the message is one line: what, where, what to do."""


class DataWarning(UserWarning):
    """The lab can use the file, but results may not mean what they seem to; one line."""


def load_split(path, split='train'):
    """The `Split` of that name. A file is opened once, however many of its splits are asked for.

    Raises FileNotFoundError when there is no such file, DataError when it is not a MOSI pickle
    that the lab can use, ValueError for a split that does not exist. Warns (DataWarning) of what
    makes results doubtful: an utterance in two splits, a split of one, an utterance of nothing.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be one of {", ".join(SPLITS)}; got {split!r}')
    return load_file(path).splits[split]


@dataclass(frozen=True, eq=False)
class MOSIFile:
    """A file in memory: its splits {name: Split}, and how they lay in it.

    `packing` says whose edition of MOSI it is, `padding` on which side ('front' or 'back') short
    utterances were filled up, `doubts` (lines) what makes results on it doubtful.
    """

    splits: dict
    packing: str
    padding: str
    doubts: list


def load_file(path):
    """The `MOSIFile` at a path, kept in memory until the file changes; errors as `load_split`."""
    path = Path(path)
    try:
        if path.is_file():
            stat = path.stat()
            return _load_file(path.resolve(), stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise DataError(f'{shown(path.name)}: cannot be read ({error.strerror})') from None
    raise FileNotFoundError(
        f'no data file {shown(str(path))}: download mosi_raw.pkl from {DOWNLOAD_URL}, or make the '
        f'synthetic stand-in with "python -m msa_lab.data.synthetic" and pass its path'
    )


def feature_dims(path):
    """The feature widths of a file where they are not 35, 300, 74, as keywords of the models.

    `{}` for `mosi_raw.pkl`, `{'vision_dim': 20, 'audio_dim': 5}` for a file with other features.
    """
    data = load_split(path)
    found = {name: getattr(data, name).shape[-1] for name in MODALITIES}
    return {f'{name}_dim': n for name, n in found.items() if n != WIDTHS[name]}


@contextmanager
def opened(path):
    """What the pickle at `path` holds; its arrays (`PickledArray`) can be read in the `with` block.

    Every reason why it cannot be read is a DataError that names the file.
    """
    name = shown(Path(path).name)
    try:
        with Path(path).open('rb') as file:
            start = file.read(512)
            if problem := _no_pickle(start):
                raise PickleError(problem)
            yield read_pickle(file)
    except PickleError as error:
        raise DataError(f'{name}: {error}') from None
    except OSError as error:
        raise DataError(f'{name}: cannot be read ({error.strerror})') from None


def _no_pickle(start):
    """What the first bytes of a file say that it is, if it is something else than a pickle."""
    if not start:
        return 'is empty (0 bytes): the download failed; download it again'
    text = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith((b'<!doctype', b'<html', b'<?xml', b'<head', b'<script')):
        return (
            'is a web page that was saved in place of the file: open the link in a browser, use '
            'the download button of the page, and check that the size is some 100 MB'
        )
    return next((said for magic, said in OTHER_FILES.items() if start.startswith(magic)), None)


@lru_cache(maxsize=2)
def _load_file(path, _mtime_ns, size):
    name = shown(path.name)
    with opened(path) as content:
        check_structure(content, name, size)
        packing = recognise(content)
        splits = {
            split: _read_split(find(content, split), f'{name}, split {split!r}') for split in SPLITS
        }
    padding = padding_side(splits.values())
    for data in splits.values():
        if padding == 'back':
            move_padding_to_front(data)
        for field in (*MODALITIES, 'labels'):
            getattr(data, field).flags.writeable = False
    file = MOSIFile(splits, packing, padding, doubts(splits))
    for doubt in file.doubts:
        warnings.warn(f'{name}: {doubt}', DataWarning, stacklevel=4)
    return file


def recognise(content):
    """Whose packing of MOSI a pickle is, judged by its fields, its ids and its widths."""
    fields = find(content, 'train')
    if 'regression_labels' in fields:
        return 'MMSA (aligned_50.pkl)'
    ids = fields['id']
    first = ids[0] if isinstance(ids, (list, tuple)) and ids else None
    row = ids.shape[1:] if isinstance(ids, PickledArray) else getattr(first, 'shape', None)
    if row == (3,) or (isinstance(first, (list, tuple)) and len(first) == 3):
        return 'MulT (mosi_data.pkl)'
    if {name: fields[name].shape[2] for name in MODALITIES} == WIDTHS:
        return 'MultiBench (mosi_raw.pkl)'
    return 'no packing that is known by name'


def find(fields, name):
    """The value of a split or field, under whichever of its names; None when it is not there."""
    return next((fields[key] for key in SPELLINGS.get(name, (name,)) if key in fields), None)


def check_structure(content, name, size):
    """Raise DataError unless the splits, their fields and shapes are what the lab needs.

    Looks at names, shapes and dtypes alone, before any array is read. `size` is the file's, in
    bytes: it cannot hold more cells than that, so memory is bounded too.
    """
    if not isinstance(content, dict):
        raise DataError(f'{name}: expected a dict of splits, found {kind(content)}')
    if missing := [split for split in SPLITS if find(content, split) is None]:
        found = some(content) or 'nothing'
        raise DataError(f'{name}: no split {", ".join(map(repr, missing))}; found {found}')
    widths, cells = {}, 0
    for split in SPLITS:
        shapes = _check_fields(find(content, split), f'{name}, split {split!r}')
        cells += sum(map(math.prod, shapes.values()))
        for modality, shape in shapes.items():
            first = widths.setdefault(modality, shape[2])
            if shape[2] != first:
                raise DataError(
                    f'{name}, split {split!r}, field {modality!r}: expected {first} features per '
                    f'step as in the split {SPLITS[0]!r}, found {shape[2]}'
                )
    if cells > size:
        raise DataError(f'{name}: the same arrays are used again and again')


def _check_fields(fields, where):
    """The shapes of the three modalities of a split, after a look at everything it must have."""
    if not isinstance(fields, dict):
        raise DataError(f'{where}: expected a dict of arrays, found {kind(fields)}')
    if missing := [key for key in (*MODALITIES, 'labels', 'id') if find(fields, key) is None]:
        found = some(fields) or 'nothing'
        raise DataError(f'{where}: no field {", ".join(map(repr, missing))}; found {found}')
    count, shapes = _count(find(fields, 'labels'), f"{where}, field 'labels'"), {}
    for modality in MODALITIES:
        field = f'{where}, field {modality!r}'
        shapes[modality] = shape = _floats(fields[modality], field).shape
        if len(shape) != 3 or 0 in shape[1:]:
            raise DataError(
                f'{field}: expected shape ({count}, {STEPS}, features), found {_shape(shape)}'
            )
    steps = {modality: shape[1] for modality, shape in shapes.items()}
    if len(set(steps.values())) > 1 and {shape[0] for shape in shapes.values()} == {count}:
        found = ', '.join(f'{n} of {modality}' for modality, n in steps.items())
        raise DataError(
            f'{where}: not aligned to words, the steps differ: {found}. The lab needs the aligned '
            f'edition of this file, {STEPS} steps each: mosi_raw.pkl, mosi_data.pkl (not '
            f'mosi_data_noalign.pkl) or aligned_50.pkl (not unaligned_50.pkl)'
        )
    for modality, shape in shapes.items():
        if shape[:2] != (count, STEPS):
            raise DataError(
                f'{where}, field {modality!r}: expected shape ({count}, {STEPS}, '
                f'{shape[2]}), found {_shape(shape)}'
            )
    return shapes


def _read_split(fields, where):
    """One split of a pickle whose structure has been checked."""
    labels = _read_labels(find(fields, 'labels'), f"{where}, field 'labels'")
    features, repaired = {}, {}
    for modality in MODALITIES:
        features[modality], repaired[modality] = fields[modality].read_float32()
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


def _count(value, field):
    """N, of labels that are (N,), (N, 1) or (N, 1, 1)."""
    labels = _floats(value, field)
    if not labels.size:
        raise DataError(f'{field}: the split is empty')
    if not labels.shape or labels.size != labels.shape[0]:
        found = _shape(labels.shape)
        raise DataError(f'{field}: expected shape (N,), (N, 1) or (N, 1, 1), found {found}')
    return labels.size


def _read_labels(labels, field):
    """Labels as float32 (N,), all finite and in range."""
    with np.errstate(over='ignore'):
        labels = labels.read().reshape(-1).astype(np.float32)
    low, high = LABEL_RANGE
    wrong = np.flatnonzero(~((labels >= low) & (labels <= high)))
    if wrong.size:
        raise DataError(
            f'{field}: expected numbers in [{low:g}, {high:g}], '
            f'found {labels[wrong[0]]} at utterance {wrong[0]} ({wrong.size} in all)'
        )
    return labels


def _floats(value, field):
    """The value if it is an array of real numbers, else a DataError."""
    if not isinstance(value, PickledArray) or value.dtype.kind not in 'fiu':
        raise DataError(f'{field}: expected an array of floats, found {kind(value)}')
    return value


def _strings(value, count, field):
    """The N strings of a list or an array, as a tuple; a row of several parts becomes one string.

    MulT names an utterance by (video, start, end): 'VIDEO[start-end]'.
    """
    if isinstance(value, PickledArray):
        if value.shape[:1] != (count,) or not count <= value.size <= 3 * count:
            raise DataError(f'{field}: expected {count} strings, found {kind(value)}')
        rows = value.read()
        if not isinstance(rows, list):
            rows = rows.tolist()
        elif len(value.shape) > 1:
            width = value.size // value.shape[0]
            rows = [rows[i : i + width] for i in range(0, len(rows), width)]
        value = rows
    if not isinstance(value, (list, tuple)):
        raise DataError(f'{field}: expected {count} strings, found {kind(value)}')
    if len(value) != count:
        raise DataError(f'{field}: expected {count} strings, found {len(value)}')
    strings, total = [], 0
    for row in value:
        strings.append(_string(row, field))
        total += len(strings[-1])
        if len(strings[-1]) > MAX_TEXT or total > MAX_TEXTS:
            raise DataError(f'{field}: expected short texts, found {total:,} characters')
    return tuple(strings)


def _string(row, field):
    """One id or text: str, bytes, a number, or a row of up to three of them."""
    if isinstance(row, PickledArray):
        row = row.read() if row.size <= 3 and row.dtype.itemsize <= 4 * MAX_TEXT else row
        row = row.reshape(-1).tolist() if isinstance(row, np.ndarray) else row
    parts = row if isinstance(row, (list, tuple)) and 0 < len(row) <= 3 else [row]
    for part in parts:
        if not isinstance(part, (str, bytes, int, float)):
            raise DataError(f'{field}: expected strings, found {kind(part)}')
    first, *rest = (
        part[: MAX_TEXT + 1].decode('utf-8', 'replace') if isinstance(part, bytes) else str(part)
        for part in parts
    )
    return f'{first}[{"-".join(rest)}]' if rest else first


def _shape(shape):
    """A shape as numpy shows it."""
    return str(tuple(shape))


def kind(value):
    """A short name of what came, for messages."""
    if isinstance(value, PickledArray):
        return f'an array of {value.dtype} {_shape(value.shape)}'
    return f'a {type(value).__name__}'
