"""Opening a CMU-MOSI pickle in any public packing, and saying clearly what is wrong with it.

A pickle can run code when it is opened, and MOSI comes from file-sharing sites. Here it is read
as data (`pickle_reader.py`): numpy arrays and plain values; everything else is refused by name.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from msa_lab.data.errors import DataError, DataWarning, printable
from msa_lab.data.format import DOWNLOAD_URL, MODALITIES, SPLITS, WIDTHS
from msa_lab.data.labels_and_strings import read_labels, read_strings
from msa_lab.data.pickle_reader import read_pickle
from msa_lab.data.pickled_arrays import PickledArray, PickleError
from msa_lab.data.split import Split, find_padding_side, find_warnings, move_padding_to_front
from msa_lab.data.structure import check_structure, find_field, recognise_packing

# A key beside the splits by which a file may say on which side its padding is: see small_file.py.
PADDING_SIDE = 'padding_side'

# The first bytes of files that are no pickle, what such a file is, and what to do about it.
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


@dataclass(frozen=True, eq=False)
class MOSIFile:
    """A data file in memory.

    `splits` is {name: Split}. `packing` names the public packing of MOSI that the file has,
    `padding_side` is the side of short utterances ('front' or 'back') that the file fills with
    zeros, and `warnings` holds a line for each reason why results on the file may be misleading.
    """

    splits: dict[str, Split]
    packing: str
    padding_side: str
    warnings: list[str]


def load_split(path: str | Path, split: str = 'train') -> Split:
    """The split of that name. A file is read once, however many of its splits are asked for.

    Raises FileNotFoundError when there is no such file, DataError when it is not a MOSI pickle
    that the lab can use, ValueError for a split that does not exist. Shows a DataWarning for each
    reason why results may be misleading: an utterance that is in two splits, a split of one
    utterance, an utterance of nothing but padding.
    """
    if split not in SPLITS:
        raise ValueError(f'split must be one of {", ".join(SPLITS)}; got {split!r}')
    return load_file(path).splits[split]


def load_file(path: str | Path) -> MOSIFile:
    """The whole file, kept in memory until it changes on disk. Errors are those of `load_split`."""
    path = Path(path)
    status = file_status(path)
    return _load_file(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # the file in use stays, also when check 1 opens its tiny files
def _load_file(path, _mtime_ns, _size):
    """`read_file` with its warnings shown; a file of another time or size is read again."""
    file = read_file(path)
    for line in file.warnings:
        warnings.warn(f'{printable(path.name)}: {line}', DataWarning, stacklevel=4)
    return file


def feature_dims(path: str | Path) -> dict[str, int]:
    """The feature widths of a file where they are not 35, 300, 74, as keywords of the models.

    `{}` for `mosi_raw.pkl`, `{'vision_dim': 20, 'audio_dim': 5}` for a file with other features.
    """
    data = load_split(path)
    found = {name: getattr(data, name).shape[-1] for name in MODALITIES}
    return {f'{name}_dim': n for name, n in found.items() if n != WIDTHS[name]}


def file_status(path: Path) -> os.stat_result:
    """The size and times of a data file; FileNotFoundError, with what to do, when it is missing."""
    try:
        if path.is_file():
            return path.stat()
    except OSError as error:  # a name that is too long, for example
        raise DataError(f'{printable(path.name)}: cannot be read ({error.strerror})') from None
    raise FileNotFoundError(
        f'no data file {printable(str(path))}: download mosi_raw.pkl from {DOWNLOAD_URL}, or make '
        f'a stand-in with "python -m msa_lab.data.reviews" and pass its path'
    )


def read_file(path: Path) -> MOSIFile:
    """Read and check a file that exists; nothing is kept in memory and no warning is shown."""
    name = printable(path.name)
    with open_pickle(path) as content:
        check_structure(content, name, path.stat().st_size)
        packing, padding_side = recognise_packing(content), content.get(PADDING_SIDE)
        splits = {
            split: _read_split(find_field(content, split), f'{name}, split {split!r}')
            for split in SPLITS
        }
    if padding_side not in ('front', 'back'):
        padding_side = find_padding_side(splits.values())
    for data in splits.values():
        if padding_side == 'back':
            move_padding_to_front(data)
        for field in (*MODALITIES, 'labels'):
            getattr(data, field).flags.writeable = False
    return MOSIFile(splits, packing, padding_side, find_warnings(splits))


def _read_split(fields, where):
    """One split of a pickle whose structure has been checked, its padding where the file has it."""
    labels = read_labels(find_field(fields, 'labels'), f"{where}, field 'labels'")
    features, repaired = {}, {}
    for modality in MODALITIES:
        array = find_field(fields, modality)
        features[modality], repaired[modality] = array.read_float32()
    raw_text = find_field(fields, 'raw_text')
    if raw_text is not None:
        raw_text = read_strings(raw_text, len(labels), f"{where}, field 'raw_text'")
    return Split(
        **features,
        labels=labels,
        ids=read_strings(find_field(fields, 'id'), len(labels), f"{where}, field 'id'"),
        raw_text=raw_text or (),
        repaired=repaired,
        ratings=_read_ratings(find_field(fields, 'ratings'), len(labels)),
    )


def _read_ratings(value, count):
    """The scores of single raters, float (N, R), where the file has them; else None."""
    is_array = isinstance(value, PickledArray) and value.dtype.kind == 'f'
    if not is_array or len(value.shape) != 2 or value.shape[0] != count:
        return None
    return value.read()  # read-only already


@contextmanager
def open_pickle(path: str | Path) -> Iterator[object]:
    """What the pickle at `path` holds; its arrays can be read inside the `with` block only.

    Arrays are `PickledArray`, everything else plain Python values. Whatever the reason why the
    file cannot be read, it is raised as a DataError that names the file.
    """
    name = printable(Path(path).name)
    try:
        with Path(path).open('rb') as file:
            start = file.read(512)
            if problem := _recognise_other_file(start):
                raise PickleError(problem)
            yield read_pickle(file)
    except PickleError as error:
        raise DataError(f'{name}: {error}') from None
    except OSError as error:
        raise DataError(f'{name}: cannot be read ({error.strerror})') from None


def _recognise_other_file(start):
    """What a file is that begins with these bytes and is no pickle, and what to do; else None."""
    if not start:
        return 'is empty (0 bytes): the download failed; download it again'
    text = start.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    if text.startswith((b'<!doctype', b'<html', b'<?xml', b'<head', b'<script')):
        return (
            'is a web page that was saved in place of the file: open the link in a browser, use '
            'the download button of the page, and check that the size is some 100 MB'
        )
    return next((advice for magic, advice in OTHER_FILES.items() if start.startswith(magic)), None)
