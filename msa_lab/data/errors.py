"""The error and the warning about a data file, and helpers that word their one-line messages."""

from collections.abc import Iterable

from msa_lab.data.pickled_arrays import PickledArray


class DataError(ValueError):
    """The lab cannot use the file. The message is one line: what is wrong, where, what to do."""


class DataWarning(UserWarning):
    """The lab can use the file, but results on it may be misleading. The message is one line."""


def printable(text: str) -> str:
    """The text on one line: control characters, which a file may hold, become escapes."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def list_names(names: Iterable[str], most: int = 5) -> str:
    """The first `most` names, separated by commas, and how many more there are."""
    names = list(names)
    first = ', '.join(printable(name[:50]) for name in names[:most])
    return first + (f' and {len(names) - most} more' if names[most:] else '')


def describe_type(value: object) -> str:
    """The type of a value, with article: 'a list', or dtype and shape of a `PickledArray`."""
    if isinstance(value, PickledArray):
        return f'an array of {value.dtype} {value.shape}'
    return f'a {type(value).__name__}'
