"""The structure of a MOSI pickle: its splits and fields, under any public spelling, and shapes.

Everything here looks at names, shapes and dtypes alone, before any array is read.
"""

import math
from typing import Any

from msa_lab.data.errors import DataError, describe_type, list_names
from msa_lab.data.format import LABEL_RANGE, MODALITIES, SPLITS, STEPS
from msa_lab.data.pickled_arrays import PickledArray, as_array

# The names that other packings have for the same split or field.
SPELLINGS = {
    'valid': ('valid', 'dev', 'val', 'validation'),
    'labels': ('labels', 'regression_labels'),
}
# Widths of vision, text and audio in the public packings of MOSI.
PACKINGS = {
    (35, 300, 74): 'MultiBench (mosi_raw.pkl)',
    (20, 300, 5): 'MulT (mosi_data.pkl)',
    (20, 768, 5): 'MMSA (aligned_50.pkl)',
}
LAYOUT = "{'train': {'vision', 'text', 'audio', 'labels', 'id'}, 'valid': ..., 'test': ...}"
GET_THE_FILE = 'take mosi_raw.pkl as it was published'


def spelling(fields: dict, name: str) -> str:
    """The name under which a dict has a split or a field; `name` itself where it has none.

    A field that is None counts as missing.
    """
    found = (key for key in SPELLINGS.get(name, (name,)) if fields.get(key) is not None)
    return next(found, name)


def find_field(fields: dict, name: str) -> Any:
    """The value of a split or a field, under any of its spellings; None when it is missing.

    A list of numbers, or of arrays of one shape, comes as one array.
    """
    value = fields.get(spelling(fields, name))
    return as_array(value) if name in (*MODALITIES, 'labels') else value


def recognise_packing(content: dict) -> str:
    """The name of the public packing of MOSI that has features of these widths.

    `content` is what the pickle holds; its structure has been checked.
    """
    fields = find_field(content, 'train')
    widths = tuple(find_field(fields, name).shape[2] for name in MODALITIES)
    return PACKINGS.get(widths, 'no packing that is known by name')


def check_structure(content: object, name: str, size: int) -> None:
    """Raise DataError unless the splits, their fields and their shapes are what the lab needs.

    `content` is what the pickle holds, `name` the file's name for the message. `size` is the
    file's size in bytes: a file cannot hold more cells than bytes, so memory is bounded too.
    """
    if not isinstance(content, dict):
        raise DataError(
            f'{name}: expected a dict of splits, found {describe_type(content)}: build {LAYOUT} of '
            f'it, or {GET_THE_FILE}'
        )
    if missing := [split for split in SPLITS if find_field(content, split) is None]:
        found = list_names(content) or 'nothing'
        raise DataError(
            f'{name}: no split {", ".join(map(repr, missing))}; found {found}: the lab needs '
            f'{LAYOUT}; name the splits so, or {GET_THE_FILE}'
        )
    widths, cells = {}, 0
    for split in SPLITS:
        where = f'{name}, split {spelling(content, split)!r}'
        shapes = _check_fields(find_field(content, split), where)
        cells += sum(map(math.prod, shapes.values()))
        for modality, shape in shapes.items():
            first = widths.setdefault(modality, shape[2])
            if shape[2] != first:
                raise DataError(
                    f'{where}, field {modality!r}: expected {first} features per step as in the '
                    f'split {SPLITS[0]!r}, found {shape[2]}: take all splits from one packing'
                )
    if cells > size:
        raise DataError(f'{name}: the same arrays are used again and again: {GET_THE_FILE}')


def _check_fields(fields, where):
    """Check all fields of a split; returns the shapes of its features, {modality: shape}."""
    if _is_list_of_segments(fields):
        raise DataError(
            f'{where}: a list of ((words, visual, acoustic), label, segment), as MAG-BERT and MISA '
            f'read it: its words have no vectors and its steps no padding; take an aligned file '
            f'of arrays in its place, mosi_raw.pkl'
        )
    if not isinstance(fields, dict):
        raise DataError(
            f'{where}: expected a dict of arrays, found {describe_type(fields)}: the lab needs '
            f'{LAYOUT}'
        )
    if missing := [key for key in (*MODALITIES, 'labels') if find_field(fields, key) is None]:
        found = list_names(fields) or 'nothing'
        raise DataError(
            f'{where}: no field {", ".join(map(repr, missing))}; found {found}: rename the field '
            f'that holds it, or {GET_THE_FILE}'
        )
    count = _count_labels(
        find_field(fields, 'labels'), f'{where}, field {spelling(fields, "labels")!r}'
    )
    shapes = {}
    for modality in MODALITIES:
        field = f'{where}, field {modality!r}'
        shapes[modality] = shape = _check_numbers(find_field(fields, modality), field).shape
        if len(shape) != 3 or 0 in shape[1:]:
            raise DataError(
                f'{field}: expected shape ({count}, {STEPS}, features), found {shape}: '
                f'{GET_THE_FILE}'
            )
    _check_steps({modality: shape[1] for modality, shape in shapes.items()}, where)
    rows = {modality: shape[0] for modality, shape in shapes.items()}
    rows[spelling(fields, 'labels')] = count
    if len(set(rows.values())) > 1:
        found = ', '.join(f'{n} in {field}' for field, n in rows.items())
        raise DataError(
            f'{where}: expected as many utterances in every field, found {found}: leave out the '
            f'same utterances everywhere, or {GET_THE_FILE}'
        )
    return shapes


def _is_list_of_segments(fields):
    """Whether a split is a list of ((words, visual, acoustic), label, segment)."""
    first = fields[0] if isinstance(fields, (list, tuple)) and fields else None
    return (
        isinstance(first, (list, tuple)) and len(first) == 3 and isinstance(first[0], (list, tuple))
    )


def _check_steps(steps, where):
    """Raise DataError unless all modalities have `STEPS` steps; `steps` is {modality: number}."""
    if len(set(steps.values())) > 1:
        found = ', '.join(f'{n} of {modality}' for modality, n in steps.items())
        raise DataError(
            f'{where}: not aligned to words, the steps differ: {found}. The lab needs the aligned '
            f'edition of this file, {STEPS} steps each: mosi_raw.pkl, mosi_data.pkl (not '
            f'mosi_data_noalign.pkl) or aligned_50.pkl (not unaligned_50.pkl)'
        )
    if (found := steps['vision']) != STEPS:
        change = (
            f'fill them up with zeros at the front, np.pad(x, ((0, 0), ({STEPS - found}, 0), '
            f'(0, 0)))'
            if found < STEPS
            else f'keep the last {STEPS} of an utterance that is padded at the front, '
            f'x[:, -{STEPS}:]'
        )
        raise DataError(
            f'{where}: expected {STEPS} steps, found {found} in all three modalities: {change}'
        )


def _count_labels(value, field):
    """The number of labels N; they must have the shape (N,), (N, 1) or (N, 1, 1)."""
    labels = _check_numbers(value, field)
    if not labels.size:
        raise DataError(f'{field}: the split is empty: {GET_THE_FILE}')
    if labels.shape and labels.size == labels.shape[0]:
        return labels.size
    if labels.shape[-1:] == (7,):
        advice = 'the seven columns of CMU-MOSEI, of which sentiment is the first: keep x[..., :1]'
    else:
        low, high = LABEL_RANGE
        advice = f'keep one score in [{low:g}, {high:g}] for each utterance'
    raise DataError(
        f'{field}: expected shape (N,), (N, 1) or (N, 1, 1), found {labels.shape}: {advice}'
    )


def _check_numbers(value, field):
    """The value itself, which must be an array of real numbers; DataError otherwise."""
    if not isinstance(value, PickledArray) or value.dtype.kind not in 'fiu':
        lengths = {x.shape[0] for x in _arrays_in(value) if x.shape}
        advice = (
            f'utterances of {min(lengths)} to {max(lengths)} steps: fill each up with zeros at the '
            f'front to {STEPS} steps'
            if len(lengths) > 1
            else 'convert it with np.asarray(x, dtype=np.float32)'
        )
        raise DataError(
            f'{field}: expected an array of floats, found {describe_type(value)}: {advice}'
        )
    return value


def _arrays_in(value):
    """The arrays that a list or an array of objects holds; [] for any other value."""
    cells = value.content if isinstance(value, PickledArray) else value
    return [x for x in cells if isinstance(x, PickledArray)] if isinstance(cells, list) else []
