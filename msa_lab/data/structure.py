"""The structure of a MOSI pickle: its splits and fields, under any public spelling, and shapes.

Everything here looks at names, shapes and dtypes alone, before any array is read.
"""

import math
from typing import Any

from msa_lab.data.errors import DataError, describe_type, list_names
from msa_lab.data.format import MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.pickled_arrays import PickledArray

# The names that other packings have for the same split or field.
SPELLINGS = {'valid': ('valid', 'dev', 'val'), 'labels': ('labels', 'regression_labels')}


def find_field(fields: dict, name: str) -> Any:
    """The value of a split or a field, under any of its spellings; None when it is missing."""
    return next((fields[key] for key in SPELLINGS.get(name, (name,)) if key in fields), None)


def recognise_packing(content: dict) -> str:
    """The name of the public packing of MOSI, judged by field names, ids and feature widths.

    `content` is what the pickle holds; its structure has been checked.
    """
    fields = find_field(content, 'train')
    if 'regression_labels' in fields:
        return 'MMSA (aligned_50.pkl)'
    ids = find_field(fields, 'id')
    first = ids[0] if isinstance(ids, (list, tuple)) and ids else None
    row = ids.shape[1:] if isinstance(ids, PickledArray) else getattr(first, 'shape', None)
    if row == (3,) or (isinstance(first, (list, tuple)) and len(first) == 3):
        return 'MulT (mosi_data.pkl)'
    if {name: find_field(fields, name).shape[2] for name in MODALITIES} == WIDTHS:
        return 'MultiBench (mosi_raw.pkl)'
    return 'no packing that is known by name'


def check_structure(content: object, name: str, size: int) -> None:
    """Raise DataError unless the splits, their fields and their shapes are what the lab needs.

    `content` is what the pickle holds, `name` the file's name for the message. `size` is the
    file's size in bytes: a file cannot hold more cells than bytes, so memory is bounded too.
    """
    if not isinstance(content, dict):
        raise DataError(f'{name}: expected a dict of splits, found {describe_type(content)}')
    if missing := [split for split in SPLITS if find_field(content, split) is None]:
        found = list_names(content) or 'nothing'
        raise DataError(f'{name}: no split {", ".join(map(repr, missing))}; found {found}')
    widths, cells = {}, 0
    for split in SPLITS:
        shapes = _check_fields(find_field(content, split), f'{name}, split {split!r}')
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
    """Check all fields of a split; returns the shapes of its features, {modality: shape}."""
    if not isinstance(fields, dict):
        raise DataError(f'{where}: expected a dict of arrays, found {describe_type(fields)}')
    if missing := [key for key in (*MODALITIES, 'labels', 'id') if find_field(fields, key) is None]:
        found = list_names(fields) or 'nothing'
        raise DataError(f'{where}: no field {", ".join(map(repr, missing))}; found {found}')
    count = _count_labels(find_field(fields, 'labels'), f"{where}, field 'labels'")
    shapes = {}
    for modality in MODALITIES:
        field = f'{where}, field {modality!r}'
        shapes[modality] = shape = _check_numbers(find_field(fields, modality), field).shape
        if len(shape) != 3 or 0 in shape[1:]:
            raise DataError(f'{field}: expected shape ({count}, {STEPS}, features), found {shape}')
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
                f'{shape[2]}), found {shape}'
            )
    return shapes


def _count_labels(value, field):
    """The number of labels N; they must have the shape (N,), (N, 1) or (N, 1, 1)."""
    labels = _check_numbers(value, field)
    if not labels.size:
        raise DataError(f'{field}: the split is empty')
    if not labels.shape or labels.size != labels.shape[0]:
        raise DataError(f'{field}: expected shape (N,), (N, 1) or (N, 1, 1), found {labels.shape}')
    return labels.size


def _check_numbers(value, field):
    """The value itself, which must be an array of real numbers; DataError otherwise."""
    if not isinstance(value, PickledArray) or value.dtype.kind not in 'fiu':
        raise DataError(f'{field}: expected an array of floats, found {describe_type(value)}')
    return value
