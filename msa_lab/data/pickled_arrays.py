"""Strings and arrays that lie in a pickle: what is known of them before their cells are read."""

import codecs
import math
import re
import sys
import warnings
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

MAX_NDIM = 8
CELLS_AT_ONCE = 1 << 17  # cells of an array that are converted at once: they fit a core's cache


def as_text(value: object) -> object:
    """Bytes, as Python 2 wrote names, decoded as Latin-1; any other value unchanged."""
    return value.decode('latin1') if isinstance(value, bytes) else value


def unescape(line: bytes) -> bytes:
    r"""The bytes that a quoted, escaped string of Python 2 means: of the line `'a\x41'`, b'aA'."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of an escape that means nothing
        return codecs.escape_decode(line.strip()[1:-1])[0]


class PickleError(Exception):
    """A pickle cannot be read; the message is one line for the user.

    Inside the reader, damage may raise any exception; `read_pickle` turns them into this one.
    """


# What a pickle that needs such a module holds, and how its owner gets arrays of it.
OTHER_OBJECTS = {
    'torch': 'it holds torch tensors; turn each into an array with x.numpy()',
    'pandas': 'it holds pandas tables; turn each into an array with x.to_numpy()',
    'scipy': 'it holds sparse arrays; turn each into an array with x.toarray()',
    'joblib': 'it was written by joblib; open it with joblib.load',
    'tensorflow': 'it holds tensors of TensorFlow; turn each into an array with x.numpy()',
}


class RefusedError(PickleError):
    """The pickle asked for `what`, which a file of arrays does not need."""

    def __init__(self, what: str):
        advice = next(
            (
                f'{advice} where you trust the file, and write a plain dict of arrays with '
                f'pickle.dump'
                for module, advice in OTHER_OBJECTS.items()
                if what.startswith(f'{module}.')
            ),
            'Do not open this file with pickle.load',
        )
        super().__init__(
            f'refused: {what}, which a file of arrays does not need; nothing was executed. '
            f'{advice[0].upper()}{advice[1:]}'
        )


@dataclass(frozen=True)
class FileSlice:
    """A long byte string that was left in the file: its place, its length and its encoding.

    `offset` and `length` count bytes of the file. `encoding` says how the string is written there:
    'raw' (as it is), 'utf-8', 'escape' or 'unicode-escape' (the lines of protocol 0).
    """

    offset: int
    length: int
    encoding: str

    def decode(self, file: BinaryIO) -> bytes:
        """The byte string itself; where the pickle has text, each character stands for a byte."""
        file.seek(self.offset)
        raw = file.read(self.length)
        if self.encoding == 'raw':
            return raw
        if self.encoding == 'escape':
            return unescape(raw)
        codec = 'utf-8' if self.encoding == 'utf-8' else 'raw-unicode-escape'
        return raw.decode(codec).encode('latin1')


class PickledArray:
    """An array that lies in a pickle: its shape and dtype are known, its cells are in the file.

    `order` is 'C' or 'F' (Fortran). `content` holds the cells: bytes, a `FileSlice`, or for dtype
    object a list. `file` is the open pickle; after it is closed, the cells cannot be read.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self.shape, self.dtype, self.order, self.content = (0,), np.dtype('u1'), 'C', b''

    def fill(
        self, shape: tuple, dtype: np.dtype, order: str, content: bytes | FileSlice | list
    ) -> None:
        """Set what the pickle says of the array.

        Raises ValueError for an impossible shape or a content of another length than shape and
        dtype need, RefusedError for bytes that would be used as pointers to objects.
        """
        if type(shape) is not tuple or len(shape) > MAX_NDIM:
            raise ValueError('an array of impossible shape')
        if not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
            raise ValueError('an array of impossible shape')
        self.shape, self.dtype, self.order, self.content = shape, dtype, order, content
        if dtype.kind == 'O' and not isinstance(content, list):
            raise RefusedError('an object array over memory')
        if dtype.kind != 'O' and not isinstance(content, (bytes, FileSlice)):
            raise ValueError('an array without content')
        if not isinstance(content, FileSlice):
            self._check_length(len(content))
        elif content.encoding == 'raw':
            self._check_length(content.length)

    def _check_length(self, length):
        """Raise ValueError unless the content has as many bytes (objects: cells) as it needs."""
        needed = self.size * (1 if self.dtype.kind == 'O' else self.dtype.itemsize)
        if length != needed:
            raise ValueError(f'shape {self.shape} needs {needed} bytes or cells, not {length}')

    @property
    def size(self) -> int:
        """The number of cells."""
        return math.prod(self.shape)

    def read(self) -> np.ndarray | list:
        """The array with its own dtype; for dtype object a flat list of its cells.

        Raises PickleError when the content is damaged.
        """
        content = self.content
        try:
            if self.dtype.kind == 'O':
                self._check_length(len(content))  # a list may have grown since
                return content
            if isinstance(content, FileSlice):
                content = content.decode(self.file)
                self._check_length(len(content))
            array = np.frombuffer(content, self.dtype).reshape(self.shape, order=self.order)
            if self.dtype.kind == 'U' and array.size:
                codes = np.frombuffer(content, self.dtype.str[0] + 'u4')
                if codes.max() > sys.maxunicode:
                    raise ValueError('no characters')
            return array
        except Exception as error:
            raise PickleError(f'an array of {self.dtype} {self.shape} is damaged') from error

    def read_float32(self) -> tuple[np.ndarray, int]:
        """A float32 copy in C order with every non-finite cell set to 0.0, and their number.

        Cells that lie in the file as they are get converted while they are read, `CELLS_AT_ONCE`
        at a time, so that a float64 file needs no float64 copy in memory.
        """
        streamed = isinstance(self.content, FileSlice) and self.content.encoding == 'raw'
        source = None if streamed else self.read().reshape(-1, order=self.order)
        result, repaired = np.empty(self.size, np.float32), 0
        buffer = None if self.dtype == result.dtype else np.empty(CELLS_AT_ONCE, self.dtype)
        if streamed:
            self.file.seek(self.content.offset)
        for start in range(0, self.size, CELLS_AT_ONCE):
            cells = result[start : start + CELLS_AT_ONCE]
            if source is not None:
                piece = source[start : start + CELLS_AT_ONCE]
            else:
                piece = cells if buffer is None else buffer[: len(cells)]
                if self.file.readinto(piece.view('u1')) != piece.nbytes:
                    raise PickleError('the file was changed while it was read')
            if piece is not cells:
                with np.errstate(over='ignore', invalid='ignore'):
                    cells[:] = piece
            bad = ~np.isfinite(cells)
            if bad.any():
                cells[bad] = 0.0
                repaired += int(bad.sum())
        return np.ascontiguousarray(result.reshape(self.shape, order=self.order)), repaired


class StackedArrays(PickledArray):
    """Arrays of one shape that a pickle holds one by one, as one array with one more axis."""

    def __init__(self, arrays: list[PickledArray]):
        self.shape = (len(arrays), *arrays[0].shape)
        self.dtype = np.result_type(*(array.dtype for array in arrays))
        self.order, self.content = 'C', arrays

    def read(self) -> np.ndarray:
        """The array; PickledError when one of its parts is damaged."""
        return np.stack([array.read() for array in self.content]).astype(self.dtype, copy=False)


def as_array(value: object) -> object:
    """One array of a list (or array of objects) of numbers or of arrays of one shape.

    A list with one number in each of its lists counts as a list of numbers. Any other value comes
    back unchanged.
    """
    cells = value
    if isinstance(value, PickledArray) and value.dtype.kind == 'O' and len(value.shape) == 1:
        cells = value.content
    if not isinstance(cells, (list, tuple)) or not cells:
        return value
    if all(isinstance(x, PickledArray) and x.dtype.kind in 'fiu' for x in cells):
        return StackedArrays(list(cells)) if len({x.shape for x in cells}) == 1 else value
    numbers = [x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x for x in cells]
    if not all(type(x) is float or (type(x) is int and abs(x) < 1 << 62) for x in numbers):
        return value
    array = PickledArray(file=None)
    array.fill((len(numbers),), np.dtype('f8'), 'C', np.array(numbers, 'f8').tobytes())
    return array


class PickledDtype:
    """The dtype of an array in a pickle; only kind, size and byte order can be set.

    numpy's own dtype takes any memory layout from a pickle without question, and crashes on some.
    `value` is the numpy dtype. Raises RefusedError for every kind but numbers, strings, objects.
    """

    def __init__(self, code, *_):
        code = as_text(code)
        if not re.fullmatch(r'[fiubSUO]\d{0,6}', code):
            raise RefusedError(f'numpy.dtype {code[:20]!r}')
        self.value = np.dtype('O' if code[0] == 'O' else code)
        if not self.value.itemsize:
            raise ValueError('cells of no size')

    def set_state(self, state: tuple) -> None:
        """Set the byte order, as numpy's `__setstate__` does; a dtype with fields is refused."""
        _, order, *fields = state[:5]
        if fields != [None] * 3 or as_text(order) not in ('<', '>', '|', '='):
            raise RefusedError('a numpy.dtype with fields')
        self.value = self.value.newbyteorder(as_text(order))
