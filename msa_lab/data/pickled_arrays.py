"""Strings and arrays that lie in a pickle, before and while they are read."""

import codecs
import math
import re
import sys
import warnings
from dataclasses import dataclass

import numpy as np

MAX_NDIM = 8
PIECE = 1 << 17  # cells of an array that are read at once: what fits a core's cache


def as_text(value):
    """Python 2 wrote names as byte strings."""
    return value.decode('latin1') if isinstance(value, bytes) else value


def unescape(line):
    """The bytes that Python 2 wrote as a quoted, escaped line."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of an escape that means nothing
        return codecs.escape_decode(line.strip()[1:-1])[0]


class PickleError(Exception):
    """Why a pickle cannot be read: one line for the user. (Inside, damage is any exception.)"""


class RefusedError(PickleError):
    """The pickle asked for something that arrays do not need."""

    def __init__(self, what):
        super().__init__(
            f'refused: {what}, which a file of arrays does not need; nothing was executed. '
            f'Do not open this file with pickle.load'
        )


@dataclass(frozen=True)
class FileSlice:
    """A long string that stayed in the file: where, how many bytes, and how it is written."""

    offset: int
    length: int
    written: str  # 'raw', 'utf-8', 'escape' or 'unicode-escape'

    def content(self, file):
        """The bytes that are meant (text stands for bytes, one character each)."""
        file.seek(self.offset)
        raw = file.read(self.length)
        if self.written == 'raw':
            return raw
        if self.written == 'escape':
            return unescape(raw)
        codec = 'utf-8' if self.written == 'utf-8' else 'raw-unicode-escape'
        return raw.decode(codec).encode('latin1')


class PickledArray:
    """An array that lies in a pickle: its shape and dtype are known, its cells are in the file.

    `content` is bytes, a `FileSlice`, or for dtype object the list of the cells.
    """

    def __init__(self, file):
        self.file = file
        self.shape, self.dtype, self.order, self.content = (0,), np.dtype('u1'), 'C', b''

    def fill(self, shape, dtype, order, content):
        """Say what the array is; the content must be exactly as long as that needs."""
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
        elif content.written == 'raw':
            self._check_length(content.length)

    def _check_length(self, length):
        needed = self.size * (1 if self.dtype.kind == 'O' else self.dtype.itemsize)
        if length != needed:
            raise ValueError(f'shape {self.shape} needs {needed} bytes or cells, not {length}')

    @property
    def size(self):
        return math.prod(self.shape)

    def read(self):
        """The array as it is, or for dtype object a flat list of its cells."""
        content = self.content
        try:
            if self.dtype.kind == 'O':
                self._check_length(len(content))  # a list may have grown since
                return content
            if isinstance(content, FileSlice):
                content = content.content(self.file)
                self._check_length(len(content))
            array = np.frombuffer(content, self.dtype).reshape(self.shape, order=self.order)
            if self.dtype.kind == 'U' and array.size:
                codes = np.frombuffer(content, self.dtype.str[0] + 'u4')
                if codes.max() > sys.maxunicode:
                    raise ValueError('no characters')
            return array
        except Exception as error:
            raise PickleError(f'an array of {self.dtype} {self.shape} is damaged') from error

    def read_float32(self):
        """A float32 copy in C order, every non-finite cell set to 0.0, and how many there were."""
        streamed = isinstance(self.content, FileSlice) and self.content.written == 'raw'
        source = None if streamed else self.read().reshape(-1, order=self.order)
        result, repaired = np.empty(self.size, np.float32), 0
        buffer = None if self.dtype == result.dtype else np.empty(PIECE, self.dtype)
        if streamed:
            self.file.seek(self.content.offset)
        for start in range(0, self.size, PIECE):
            cells = result[start : start + PIECE]
            if source is not None:
                piece = source[start : start + PIECE]
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


class PickledDtype:
    """What a pickle may say of a dtype: kind, size and byte order.

    numpy's own dtype takes any memory layout from a pickle without question, and crashes on some.
    """

    def __init__(self, code, *_):
        code = as_text(code)
        if not re.fullmatch(r'[fiubSUO]\d{0,6}', code):
            raise RefusedError(f'numpy.dtype {code[:20]!r}')
        self.value = np.dtype('O' if code[0] == 'O' else code)
        if not self.value.itemsize:
            raise ValueError('cells of no size')

    def build(self, state):
        _, order, *fields = state[:5]
        if fields != [None] * 3 or as_text(order) not in ('<', '>', '|', '='):
            raise RefusedError('a numpy.dtype with fields')
        self.value = self.value.newbyteorder(as_text(order))
