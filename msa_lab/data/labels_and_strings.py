"""Reading the labels, ids and sentences of a split whose structure has been checked."""

import numpy as np

from msa_lab.data.errors import DataError, describe_type
from msa_lab.data.format import LABEL_RANGE
from msa_lab.data.pickled_arrays import PickledArray

MAX_TEXT = 10_000  # characters of one id or sentence
MAX_TEXTS = 1 << 24  # characters of all ids or all sentences of a split


def read_labels(labels: PickledArray, field: str) -> np.ndarray:
    """The N labels as float32 (N,). `field` says in messages where they stand in the file.

    Raises DataError when one of them is not in [-3, 3] or not a number.
    """
    with np.errstate(over='ignore'):
        labels = labels.read().reshape(-1).astype(np.float32)
    low, high = LABEL_RANGE
    wrong = np.flatnonzero(~((labels >= low) & (labels <= high)))
    if wrong.size:
        advice = (
            'leave these utterances out of every field'
            if np.isnan(labels[wrong]).any()
            else 'rescale the scores, or leave these utterances out of every field'
        )
        raise DataError(
            f'{field}: expected numbers in [{low:g}, {high:g}], found {labels[wrong[0]]} at '
            f'utterance {wrong[0]} ({wrong.size} in all): {advice}'
        )
    return labels


def read_ids(value: object, count: int, field: str) -> tuple[str, ...]:
    """The ids of a split, from a list or an array, as `count` strings.

    A row of up to three parts becomes one string: MulT names an utterance by (video, start, end),
    which is read as 'VIDEO[start-end]'. Raises DataError for another number of ids, for values
    that are no strings, and for ids that are longer than any sentence (`MAX_TEXT`).
    """

    def join(parts):
        first, *rest = parts or ['']
        return f'{first}[{"-".join(rest)}]' if rest else first

    return _read_strings(value, count, field, join, most=3)


def read_sentences(value: object, count: int, field: str) -> tuple[str, ...]:
    """The sentences of a split as `count` strings; of a sentence in words, with blanks between.

    Errors are those of `read_ids`.
    """

    def join(parts):
        return ' '.join(part for part in parts if part)

    return _read_strings(value, count, field, join, most=MAX_TEXT)


def _read_strings(value, count, field, join, most):
    """`count` strings; what `join` makes of each row, which has at most so many parts."""
    if isinstance(value, PickledArray):
        value = _read_rows(value, count, field, most)
    if not isinstance(value, (list, tuple)):
        raise DataError(f'{field}: expected {count} strings, found {describe_type(value)}')
    if len(value) != count:
        raise DataError(f'{field}: expected {count} strings, found {len(value)}')
    strings, total = [], 0
    for row in value:
        strings.append(join(_read_parts(row, field, most)))
        total += len(strings[-1])
        if len(strings[-1]) > MAX_TEXT or total > MAX_TEXTS:
            raise DataError(f'{field}: expected short texts, found {total:,} characters')
    return tuple(strings)


def _read_rows(array, count, field, most):
    """The rows of an array of strings, (N,) or (N, up to `most`), as a list."""
    if array.shape[:1] != (count,) or not count <= array.size <= most * count:
        raise DataError(f'{field}: expected {count} strings, found {describe_type(array)}')
    rows = array.read()
    if isinstance(rows, np.ndarray):
        return rows.tolist()
    if len(array.shape) == 1:
        return rows
    width = array.size // array.shape[0]  # of dtype object: `read` gives a flat list of cells
    return [rows[i : i + width] for i in range(0, len(rows), width)]


def _read_parts(row, field, most):
    """One id or sentence: str, bytes or a number, or a row of up to `most` of them; as a list."""
    if isinstance(row, PickledArray):
        row = row.read() if row.size <= most and row.dtype.itemsize <= 4 * MAX_TEXT else row
        row = row.reshape(-1).tolist() if isinstance(row, np.ndarray) else row
    parts = row if isinstance(row, (list, tuple)) and len(row) <= most else [row]
    for part in parts:
        if not isinstance(part, (str, bytes, int, float)):
            raise DataError(f'{field}: expected strings, found {describe_type(part)}')
    return [
        part[: MAX_TEXT + 1].decode('utf-8', 'replace') if isinstance(part, bytes) else str(part)
        for part in parts
    ]
