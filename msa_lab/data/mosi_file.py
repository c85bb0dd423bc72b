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
from msa_lab.data.format import DOWNLOAD_URL, MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.labels_and_strings import read_ids, read_labels, read_sentences
from msa_lab.data.other_files import recognise_other_file
from msa_lab.data.pickle_reader import read_pickle
from msa_lab.data.pickled_arrays import PickledArray, PickleError
from msa_lab.data.split import (
    Split,
    clear_padded_text,
    find_padding_side,
    find_warnings,
    move_padding_to_front,
)
from msa_lab.data.structure import check_structure, find_field, recognise_packing, spelling

# A key beside the splits by which a file may say on which side its padding is: see small_file.py.
PADDING_SIDE = 'padding_side'


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
        if path.is_dir():
            raise DataError(f'{printable(str(path))}: is a folder: name the file in it')
    except OSError as error:  # a name that is too long, for example
        raise DataError(f'{printable(path.name)}: cannot be read ({error.strerror})') from None
    raise FileNotFoundError(
        f'no data file {printable(str(path))}: download mosi_raw.pkl from {DOWNLOAD_URL}, or make '
        f'a stand-in with "python -m msa_lab.data.reviews" and pass its path'
    )


def read_file(path: Path) -> MOSIFile:
    """Read and check a file that exists; nothing is kept in memory and no warning is shown."""
    name = printable(path.name)
    splits, notes, cleared = {}, [], 0
    with open_pickle(path) as content:
        check_structure(content, name, path.stat().st_size)
        packing, padding_side = recognise_packing(content), content.get(PADDING_SIDE)
        for split in SPLITS:
            key = spelling(content, split)
            splits[split], found = _read_split(content[key], split, name, key)
            notes += found
            mask = _read_token_mask(content[key], len(splits[split]))
            cleared += clear_padded_text(splits[split], mask)
    if cleared:
        source = 'vision and audio' if mask is None else "the mask in 'text_bert'"
        notes.append(
            f'the text of {cleared} utterances is not zero where they are padded, as BERT leaves '
            f'it; their lengths are those of {source}, and what lay behind is set to zero'
        )
    if padding_side not in ('front', 'back'):
        padding_side = find_padding_side(splits.values())
    for data in splits.values():
        if padding_side == 'back':
            move_padding_to_front(data)
        for field in (*MODALITIES, 'labels'):
            getattr(data, field).flags.writeable = False
    return MOSIFile(splits, packing, padding_side, notes + find_warnings(splits))


def _read_split(fields, split, name, key):
    """A split of a pickle whose structure has been checked, and a line for each doubt about it.

    `name` and `key` are those of the file and of the split in it. Padding is where the file has it.
    """
    where, notes = f'split {key!r}', []
    labels_name = spelling(fields, 'labels')
    labels = read_labels(find_field(fields, 'labels'), f'{name}, {where}, field {labels_name!r}')
    count = len(labels)
    features, repaired = {}, {}
    for modality in MODALITIES:
        array = find_field(fields, modality)
        features[modality], repaired[modality] = array.read_float32()

    def read(field, function, otherwise):
        """The strings of an optional field, or None; a line is noted where they cannot be used."""
        if (value := find_field(fields, field)) is None:
            return None
        try:
            return function(value, count, f'{where}, field {spelling(fields, field)!r}')
        except DataError as error:
            notes.append(f'{error}: not used, {otherwise}')

    alone = 'every utterance counts as a speaker of its own'
    ids = read('id', read_ids, alone)
    if find_field(fields, 'id') is None:
        notes.append(f'{where} has no ids: {alone}')
    data = Split(
        **features,
        labels=labels,
        ids=ids or tuple(f'{split}-{row}' for row in range(count)),
        raw_text=read('raw_text', read_sentences, 'step numbers stand for words') or (),
        repaired=repaired,
        ratings=_read_array(find_field(fields, 'ratings'), 'f', (count, None)),
    )
    return data, notes


def _read_token_mask(fields, count):
    """Which steps are tokens, bool (count, T), by the mask beside BERT's features; else None."""
    bert = _read_array(find_field(fields, 'text_bert'), 'fiu', (count, 3, STEPS))
    return None if bert is None else bert[:, 1] > 0


def _read_array(value, kinds, shape):
    """An optional array of such a shape (None: of any length), read-only; else None."""
    if not isinstance(value, PickledArray) or value.dtype.kind not in kinds:
        return None
    if len(value.shape) != len(shape):
        return None
    fits = all(n in (None, found) for n, found in zip(shape, value.shape, strict=True))
    return value.read() if fits else None


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
            if problem := recognise_other_file(start):
                raise PickleError(problem)
            yield read_pickle(file)
    except PickleError as error:
        raise DataError(f'{name}: {error}') from None
    except OSError as error:
        raise DataError(f'{name}: cannot be read ({error.strerror})') from None
