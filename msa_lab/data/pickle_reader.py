"""Reading a pickle as data: plain values and numpy arrays; nothing in it is ever run.

A pickle is a program for a small machine. Python's own machine can be told which names to allow,
but not how much to use: a memo index of two thousand million makes it ask for 32 GB, a deep tuple
as a dict key overflows its stack. The machine here knows the instructions that lists, dicts,
strings, numbers and arrays need, and counts them. Long strings it leaves in the file and notes
their place, so that an array is converted while it is read, piece by piece.
"""

import re
import struct
from dataclasses import dataclass

import numpy as np

from msa_lab.data.pickled_arrays import (
    PickleError,
    RefusedError,
    FileSlice,
    PickledArray,
    PickledDtype,
    as_text,
    unescape,
)

MAX_INSTRUCTIONS = 1_000_000  # a file of arrays needs a few thousand, its ids included
MAX_SHORT = 1 << 16  # a longer string stays in the file, as a `FileSlice`
MAX_SHORT_TOTAL = 1 << 26
MAX_LINE = 1 << 31
MAX_MARKS = 100


@dataclass(frozen=True)
class _Name:
    """A name that a pickle may use; what calling it does here stands in `_Machine.call`."""

    module: str
    name: str


ALLOWED = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'),
    ('builtins', 'bytes'), ('__builtin__', 'bytes'),
    ('numpy.core.multiarray', '_reconstruct'), ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'),
    ('numpy.core.numeric', '_frombuffer'), ('numpy._core.numeric', '_frombuffer'),
}  # fmt: skip


class _Machine:
    """Executes the instructions of one pickle, on values alone."""

    def __init__(self, file):
        self.file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        self.stack, self.marks, self.memo = [], [], {}
        self.place = self.done = self.short = 0  # offset, instructions, bytes of short strings

    def run(self):
        for self.done in range(MAX_INSTRUCTIONS):
            self.place = self.file.tell()
            code = self.bytes(1)
            if code == b'.':
                return self.stack.pop()
            if code not in INSTRUCTIONS:
                raise ValueError(f'no instruction {code!r}')
            INSTRUCTIONS[code](self)
        raise PickleError(
            f'more than {MAX_INSTRUCTIONS:,} instructions: far more than a file of arrays needs'
        )

    # Reading.

    def bytes(self, count):
        content = self.file.read(count)
        if len(content) < count:
            raise _cut_off(self.size)
        return content

    def number(self, layout):
        return struct.unpack(layout, self.bytes(struct.calcsize(layout)))[0]

    def line(self):
        line = self.file.readline(1000)
        if not line.endswith(b'\n'):
            raise _cut_off(self.size) if self.file.tell() == self.size else ValueError('long line')
        return line[:-1]

    def string(self, length, written='raw'):
        """A string of that many bytes: the next ones of the file, or a `FileSlice` over them."""
        start = self.file.tell()
        if not 0 <= length <= self.size - start:
            raise _cut_off(self.size)
        if length > MAX_SHORT:
            self.file.seek(length, 1)
            return FileSlice(start, length, written)
        self.spend(length)
        raw = self.bytes(length)
        return raw.decode('utf-8', 'surrogatepass') if written == 'utf-8' else raw

    def line_string(self, written):
        """A string that ends with its line, of protocol 0, where arrays may be one long line."""
        start, length = self.file.tell(), 0
        while not (piece := self.file.readline(MAX_SHORT)).endswith(b'\n'):
            if not piece:
                raise _cut_off(self.size)
            length += len(piece)
            if length > MAX_LINE:
                raise ValueError('a line without end')
        length += len(piece) - 1
        if length > MAX_SHORT:
            return FileSlice(start, length, written)
        self.file.seek(start)
        raw = self.string(length)
        self.bytes(1)
        if written == 'escape':
            return unescape(raw)
        return raw.decode('raw-unicode-escape')

    # The stack.

    def push(self, value):
        self.stack.append(value)

    def mark(self):
        if len(self.marks) == MAX_MARKS:
            raise PickleError(f'nested more than {MAX_MARKS} deep')
        self.marks.append(len(self.stack))

    def since_mark(self):
        """Take everything above the last mark off the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def top(self, kind):
        value = self.stack[-1]
        if type(value) is not kind:
            raise ValueError(f'no {kind.__name__} to fill')
        return value

    def set_items(self, values):
        target = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, bytes, int)) or len(str(key)) > 200:
                raise ValueError(f'a {type(key).__name__} that is no key of a dict')
            target[str(as_text(key))] = value  # text: numbers can be chosen to share one hash

    def spend(self, length):
        """Count bytes of short strings that are read or made."""
        self.short += length
        if self.short > MAX_SHORT_TOTAL:
            raise PickleError(f'more than {MAX_SHORT_TOTAL >> 20} MB of short strings')

    def last(self, count):
        if len(self.stack) < count:
            raise ValueError('too few values')
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    # Names and what may be done with them.

    def name(self, module, name):
        module, name = as_text(module), as_text(name)
        if not all(isinstance(s, str) and re.fullmatch(r'[\w.]{1,100}', s) for s in (module, name)):
            raise ValueError('a name that is none')
        if (module, name) not in ALLOWED:
            raise RefusedError(f'{module}.{name}')
        self.push(_Name(module, name))

    def call(self):
        function, args = self.last(2)
        if not isinstance(function, _Name):
            raise ValueError('a call of what has no name')
        if not isinstance(args, tuple) or len(args) > 8:
            raise ValueError('a call with too many arguments')
        self.spend(sum(len(arg) for arg in args if isinstance(arg, (str, bytes))))
        match function.name, args:
            case 'dtype', (code, *rest):
                result = PickledDtype(code, *rest)
            case '_reconstruct', (_Name(name='ndarray'), *_):
                result = PickledArray(self.file)
            case '_frombuffer', (content, PickledDtype() as dtype, tuple() as shape, order):
                if dtype.value.kind == 'O':
                    raise RefusedError('an object array over memory')
                result = PickledArray(self.file)
                result.fill(shape, dtype.value, 'F' if as_text(order) == 'F' else 'C', content)
            case 'scalar', (PickledDtype() as dtype, bytes() as content) if dtype.value.kind != 'O':
                result = np.frombuffer(content, dtype.value)[0].item()
            case 'encode', (content, *codec) if [as_text(c) for c in codec] in ([], ['latin1']):
                result = content if isinstance(content, FileSlice) else content.encode('latin1')
            case 'bytes', ():
                result = b''
            case _:
                raise RefusedError(f'such a call of {function.module}.{function.name}')
        self.push(result)

    def build(self):
        target, state = self.last(2)
        if isinstance(target, PickledDtype):
            target.build(state)
        elif isinstance(target, PickledArray) and target.content == b'':
            _, shape, dtype, fortran, content = state
            target.fill(shape, dtype.value, 'F' if fortran else 'C', content)
        else:
            raise RefusedError('changing what is no array')
        self.push(target)

    def refuse(self, what):
        raise RefusedError(what)


def _cut_off(size):
    return PickleError(
        f'it is cut off: it ends after {size:,} bytes in the middle of its content. '
        f'Download or copy it again'
    )


def _integer(machine, length):
    if length > 16:
        raise ValueError('a number of more than 16 bytes')
    machine.push(int.from_bytes(machine.bytes(length), 'little', signed=True))


def _int_line(machine):
    line = machine.line().strip()
    machine.push(line == b'01' if line in (b'00', b'01') else int(line.rstrip(b'L')))


def _float_line(machine):
    machine.push(float(machine.line()))


def _frame(machine):
    if machine.number('<Q') > machine.size:
        raise _cut_off(machine.size)


def _append(machine, count=None):
    values = machine.since_mark() if count is None else machine.last(count)
    machine.top(list).extend(values)


def _new_dict(machine):
    values = machine.since_mark()
    machine.push({})
    machine.set_items(values)


def _put(machine, index):
    if not 0 <= index <= MAX_INSTRUCTIONS:
        raise ValueError('a memo that is too large')
    machine.memo[index] = machine.stack[-1]


def _inst(machine):
    machine.name(machine.line(), machine.line())
    machine.refuse('an instance')


# Every instruction that is known, by its code in the pickle protocols 0 to 5.
INSTRUCTIONS = {
    b'(': _Machine.mark,
    b'0': lambda m: m.last(1),
    b'1': lambda m: m.since_mark(),
    b'2': lambda m: m.push(m.stack[-1]),
    b'F': _float_line,
    b'G': lambda m: m.push(m.number('>d')),
    b'I': _int_line,
    b'J': lambda m: m.push(m.number('<i')),
    b'K': lambda m: m.push(m.number('<B')),
    b'M': lambda m: m.push(m.number('<H')),
    b'L': _int_line,
    b'\x8a': lambda m: _integer(m, m.number('<B')),
    b'\x8b': lambda m: _integer(m, m.number('<I')),
    b'N': lambda m: m.push(None),
    b'\x88': lambda m: m.push(True),
    b'\x89': lambda m: m.push(False),
    b'S': lambda m: m.push(m.line_string('escape')),
    b'T': lambda m: m.push(m.string(m.number('<I'))),
    b'U': lambda m: m.push(m.string(m.number('<B'))),
    b'B': lambda m: m.push(m.string(m.number('<I'))),
    b'C': lambda m: m.push(m.string(m.number('<B'))),
    b'\x8e': lambda m: m.push(m.string(m.number('<Q'))),
    b'\x96': lambda m: m.push(m.string(m.number('<Q'))),
    b'V': lambda m: m.push(m.line_string('unicode-escape')),
    b'X': lambda m: m.push(m.string(m.number('<I'), 'utf-8')),
    b'\x8c': lambda m: m.push(m.string(m.number('<B'), 'utf-8')),
    b'\x8d': lambda m: m.push(m.string(m.number('<Q'), 'utf-8')),
    b'l': lambda m: m.push(m.since_mark()),
    b']': lambda m: m.push([]),
    b'a': lambda m: _append(m, 1),
    b'e': _append,
    b't': lambda m: m.push(tuple(m.since_mark())),
    b')': lambda m: m.push(()),
    b'\x85': lambda m: m.push(tuple(m.last(1))),
    b'\x86': lambda m: m.push(tuple(m.last(2))),
    b'\x87': lambda m: m.push(tuple(m.last(3))),
    b'd': _new_dict,
    b'}': lambda m: m.push({}),
    b's': lambda m: m.set_items(m.last(2)),
    b'u': lambda m: m.set_items(m.since_mark()),
    b'c': lambda m: m.name(m.line(), m.line()),
    b'\x93': lambda m: m.name(*m.last(2)),
    b'R': _Machine.call,
    b'b': _Machine.build,
    b'p': lambda m: _put(m, int(m.line())),
    b'q': lambda m: _put(m, m.number('<B')),
    b'r': lambda m: _put(m, m.number('<I')),
    b'\x94': lambda m: _put(m, len(m.memo)),
    b'g': lambda m: m.push(m.memo[int(m.line())]),
    b'h': lambda m: m.push(m.memo[m.number('<B')]),
    b'j': lambda m: m.push(m.memo[m.number('<I')]),
    b'\x80': lambda m: m.bytes(1),
    b'\x95': _frame,
    b'i': _inst,
    b'o': lambda m: m.refuse('an instance'),
    b'\x81': lambda m: m.refuse('an instance'),
    b'\x92': lambda m: m.refuse('an instance'),
    b'P': lambda m: m.refuse('a persistent id'),
    b'Q': lambda m: m.refuse('a persistent id'),
    b'\x82': lambda m: m.refuse('an extension code'),
    b'\x83': lambda m: m.refuse('an extension code'),
    b'\x84': lambda m: m.refuse('an extension code'),
    b'\x8f': lambda m: m.refuse('a set'),
    b'\x91': lambda m: m.refuse('a set'),
    b'\x97': lambda m: m.refuse('a buffer outside the file'),
}


def read_pickle(file):
    """What a pickle holds, from an open binary file: plain values, arrays as `PickledArray`.

    Python 2 or 3, every protocol, numpy 1 or 2; Python 2's strings are bytes, dict keys text.
    Nothing in the file is executed; memory and time are bounded (`MAX_*` above). Raises
    PickleError, which says in one line what was refused or broken.
    """
    machine = _Machine(file)
    try:
        return machine.run()
    except Exception as error:  # a broken pickle may fail in any way
        file.seek(0)
        start = file.read(12)
        if machine.done < 3 and start[:1] != b'\x80' and not isinstance(error, RefusedError):
            raise PickleError(f'it is no pickle: it begins with {start!r}') from None
        if isinstance(error, PickleError):
            raise
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:120]
    raise PickleError(
        f'it is damaged near byte {machine.place:,} ({reason}). Download or copy it again'
    )
