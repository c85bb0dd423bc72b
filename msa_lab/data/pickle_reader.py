"""Reading a pickle as data: plain values and numpy arrays; nothing in it is ever executed.

Why not `pickle.Unpickler` with `find_class`: it can forbid names, but not bound memory or nesting.
Why not `pickletools.genops`: it only splits a pickle into instructions, and reads arrays whole.
Why not fickling or safetensors: one checks a pickle, then loads it with pickle; one has no pickles.

A pickle is a list of instructions for a small stack machine. `_PickleMachine` knows those that
lists, dicts, strings, numbers and arrays need, and counts what they use. It leaves long strings
in the file and notes their place, so that an array is converted while it is read.
"""

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from msa_lab.data.other_files import LINE_ENDS
from msa_lab.data.pickled_arrays import (
    FileSlice,
    PickledArray,
    PickledDtype,
    PickleError,
    RefusedError,
    as_text,
    unescape,
)

MAX_INSTRUCTIONS = 1_000_000  # a file of arrays needs a few thousand, its ids included
MAX_SHORT = 1 << 16  # bytes; a longer string stays in the file, as a `FileSlice`
MAX_SHORT_TOTAL = 1 << 26  # bytes of all short strings together
MAX_LINE = 1 << 31  # bytes of a string of protocol 0
MAX_MARKS = 100  # how deep lists, dicts and tuples may be nested


@dataclass(frozen=True)
class _Name:
    """A global name that a pickle may use; `_PickleMachine.call` says what calling it gives."""

    module: str
    name: str


ALLOWED = {
    ('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'),
    ('builtins', 'bytes'), ('__builtin__', 'bytes'),
    ('numpy.core.multiarray', '_reconstruct'), ('numpy._core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'),
    ('numpy.core.numeric', '_frombuffer'), ('numpy._core.numeric', '_frombuffer'),
}  # fmt: skip


class _PickleMachine:
    """Follows the instructions of one pickle; it calls no function that the pickle names.

    `stack` and `memo` are those of every pickle machine, `marks` are positions in the stack.
    `offset` is the byte at which the current instruction begins, `executed` the number of
    instructions before it, `short_bytes` the length of all short strings so far.
    """

    def __init__(self, file):
        self.file = file
        self.size = file.seek(0, 2)
        file.seek(0)
        self.stack, self.marks, self.memo = [], [], {}
        self.offset = self.executed = self.short_bytes = 0

    def run(self):
        """Follow the instructions up to STOP; returns the value that is then on the stack."""
        for self.executed in range(MAX_INSTRUCTIONS):
            self.offset = self.file.tell()
            code = self.read_bytes(1)
            if code == b'.':
                return self.stack.pop()
            if code not in INSTRUCTIONS:
                raise ValueError(f'no instruction {code!r}')
            INSTRUCTIONS[code](self)
        raise PickleError(
            f'more than {MAX_INSTRUCTIONS:,} instructions: far more than a file of arrays needs'
        )

    def read_bytes(self, count):
        """The next `count` bytes of the file."""
        content = self.file.read(count)
        if len(content) < count:
            raise _cut_off(self.size)
        return content

    def read_number(self, layout):
        """The next number of the file; `layout` is a format of `struct`, such as '<I'."""
        return struct.unpack(layout, self.read_bytes(struct.calcsize(layout)))[0]

    def read_line(self):
        """The bytes up to the end of the line, which must be short."""
        line = self.file.readline(1000)
        if not line.endswith(b'\n'):
            raise _cut_off(self.size) if self.file.tell() == self.size else ValueError('long line')
        return line[:-1]

    def read_string(self, length, encoding='raw'):
        """The next `length` bytes as a string; a long one becomes a `FileSlice` over them."""
        start = self.file.tell()
        if not 0 <= length <= self.size - start:
            raise _cut_off(self.size)
        if length > MAX_SHORT:
            self.file.seek(length, 1)
            return FileSlice(start, length, encoding)
        self.count_short(length)
        raw = self.read_bytes(length)
        return raw.decode('utf-8', 'surrogatepass') if encoding == 'utf-8' else raw

    def read_line_string(self, encoding):
        """A string of protocol 0, which ends with its line; a whole array may be one long line."""
        start, length = self.file.tell(), 0
        while not (piece := self.file.readline(MAX_SHORT)).endswith(b'\n'):
            if not piece:
                raise _cut_off(self.size)
            length += len(piece)
            if length > MAX_LINE:
                raise ValueError('a line without end')
        length += len(piece) - 1
        if length > MAX_SHORT:
            return FileSlice(start, length, encoding)
        self.file.seek(start)
        raw = self.read_string(length)
        self.read_bytes(1)
        if encoding == 'escape':
            return unescape(raw)
        return raw.decode('raw-unicode-escape')

    def count_short(self, length):
        """Count the bytes of a short string that is read or made; too many raise PickleError."""
        self.short_bytes += length
        if self.short_bytes > MAX_SHORT_TOTAL:
            raise PickleError(f'more than {MAX_SHORT_TOTAL >> 20} MB of short strings')

    def push(self, value):
        """Put a value on the stack."""
        self.stack.append(value)

    def push_mark(self):
        """Remember the height of the stack, for `pop_to_mark`."""
        if len(self.marks) == MAX_MARKS:
            raise PickleError(f'nested more than {MAX_MARKS} deep')
        self.marks.append(len(self.stack))

    def pop_to_mark(self):
        """Take everything above the last mark off the stack, as a list."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def pop(self, count):
        """Take the last `count` values off the stack, as a list."""
        if len(self.stack) < count:
            raise ValueError('too few values')
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def top(self, expected):
        """The last value of the stack, which stays there and must be of the expected type."""
        value = self.stack[-1]
        if type(value) is not expected:
            raise ValueError(f'no {expected.__name__} to fill')
        return value

    def set_items(self, values):
        """Fill the dict on the stack; `values` are keys and values in turn."""
        target = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, (str, bytes, int)) or len(str(key)) > 200:
                raise ValueError(f'a {type(key).__name__} that is no key of a dict')
            target[str(as_text(key))] = value  # text: numbers can be chosen to share one hash

    def push_name(self, module, name):
        """Put a global name on the stack; RefusedError unless it is one of `ALLOWED`."""
        module, name = as_text(module), as_text(name)
        if not all(isinstance(s, str) and re.fullmatch(r'[\w.]{1,100}', s) for s in (module, name)):
            raise ValueError('a name that is none')
        if (module, name) not in ALLOWED:
            raise RefusedError(f'{module}.{name}')
        self.push(_Name(module, name))

    def call(self):
        """Replace a name and its arguments by what the call stands for, without calling it."""
        function, args = self.pop(2)
        if not isinstance(function, _Name):
            raise ValueError('a call of what has no name')
        if not isinstance(args, tuple) or len(args) > 8:
            raise ValueError('a call with too many arguments')
        self.count_short(sum(len(arg) for arg in args if isinstance(arg, (str, bytes))))
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
        """Give an array or a dtype its state: shape, dtype, order and cells, or the byte order."""
        target, state = self.pop(2)
        if isinstance(target, PickledDtype):
            target.set_state(state)
        elif isinstance(target, PickledArray) and target.content == b'':
            _, shape, dtype, fortran, content = state
            target.fill(shape, dtype.value, 'F' if fortran else 'C', content)
        else:
            raise RefusedError('changing what is no array')
        self.push(target)

    def refuse(self, what):
        """Raise RefusedError: the pickle asks for something that no array needs."""
        raise RefusedError(what)


def _cut_off(size):
    """The error for a file that ends too early; `size` is its size in bytes."""
    return PickleError(
        f'it is cut off: it ends after {size:,} bytes in the middle of its content. '
        f'Download or copy it again'
    )


def _push_integer(machine, length):
    """LONG1, LONG4: an integer of `length` bytes."""
    if length > 16:
        raise ValueError('a number of more than 16 bytes')
    machine.push(int.from_bytes(machine.read_bytes(length), 'little', signed=True))


def _push_int_line(machine):
    """INT, LONG of protocol 0: a number in decimal; '00' and '01' are False and True."""
    line = machine.read_line().strip()
    machine.push(line == b'01' if line in (b'00', b'01') else int(line.rstrip(b'L')))


def _push_float_line(machine):
    """FLOAT of protocol 0: a number in decimal."""
    machine.push(float(machine.read_line()))


def _check_frame(machine):
    """FRAME: the length of the bytes that follow, which the file must have."""
    if machine.read_number('<Q') > machine.size:
        raise _cut_off(machine.size)


def _append(machine, count=None):
    """APPEND, APPENDS: put the last `count` values, or those above the mark, into a list."""
    values = machine.pop_to_mark() if count is None else machine.pop(count)
    machine.top(list).extend(values)


def _push_dict(machine):
    """DICT: a dict of the keys and values above the mark."""
    values = machine.pop_to_mark()
    machine.push({})
    machine.set_items(values)


def _put(machine, index):
    """PUT and its kin: keep the last value of the stack in the memo."""
    if not 0 <= index <= MAX_INSTRUCTIONS:
        raise ValueError('a memo that is too large')
    machine.memo[index] = machine.stack[-1]


def _refuse_instance(machine):
    """INST: an object of a class, which is refused by its name."""
    machine.push_name(machine.read_line(), machine.read_line())
    machine.refuse('an instance')


# Every instruction of the pickle protocols 0 to 5 by its code; `pm` is the pickle machine.
INSTRUCTIONS = {
    b'(': _PickleMachine.push_mark,  # MARK
    b'0': lambda pm: pm.pop(1),  # POP
    b'1': lambda pm: pm.pop_to_mark(),  # POP_MARK
    b'2': lambda pm: pm.push(pm.stack[-1]),  # DUP
    b'F': _push_float_line,  # FLOAT
    b'G': lambda pm: pm.push(pm.read_number('>d')),  # BINFLOAT
    b'I': _push_int_line,  # INT
    b'J': lambda pm: pm.push(pm.read_number('<i')),  # BININT
    b'K': lambda pm: pm.push(pm.read_number('<B')),  # BININT1
    b'M': lambda pm: pm.push(pm.read_number('<H')),  # BININT2
    b'L': _push_int_line,  # LONG
    b'\x8a': lambda pm: _push_integer(pm, pm.read_number('<B')),  # LONG1
    b'\x8b': lambda pm: _push_integer(pm, pm.read_number('<I')),  # LONG4
    b'N': lambda pm: pm.push(None),  # NONE
    b'\x88': lambda pm: pm.push(True),  # NEWTRUE
    b'\x89': lambda pm: pm.push(False),  # NEWFALSE
    b'S': lambda pm: pm.push(pm.read_line_string('escape')),  # STRING
    b'T': lambda pm: pm.push(pm.read_string(pm.read_number('<I'))),  # BINSTRING
    b'U': lambda pm: pm.push(pm.read_string(pm.read_number('<B'))),  # SHORT_BINSTRING
    b'B': lambda pm: pm.push(pm.read_string(pm.read_number('<I'))),  # BINBYTES
    b'C': lambda pm: pm.push(pm.read_string(pm.read_number('<B'))),  # SHORT_BINBYTES
    b'\x8e': lambda pm: pm.push(pm.read_string(pm.read_number('<Q'))),  # BINBYTES8
    b'\x96': lambda pm: pm.push(pm.read_string(pm.read_number('<Q'))),  # BYTEARRAY8
    b'V': lambda pm: pm.push(pm.read_line_string('unicode-escape')),  # UNICODE
    b'X': lambda pm: pm.push(pm.read_string(pm.read_number('<I'), 'utf-8')),  # BINUNICODE
    b'\x8c': lambda pm: pm.push(pm.read_string(pm.read_number('<B'), 'utf-8')),  # SHORT_BINUNICODE
    b'\x8d': lambda pm: pm.push(pm.read_string(pm.read_number('<Q'), 'utf-8')),  # BINUNICODE8
    b'l': lambda pm: pm.push(pm.pop_to_mark()),  # LIST
    b']': lambda pm: pm.push([]),  # EMPTY_LIST
    b'a': lambda pm: _append(pm, 1),  # APPEND
    b'e': _append,  # APPENDS
    b't': lambda pm: pm.push(tuple(pm.pop_to_mark())),  # TUPLE
    b')': lambda pm: pm.push(()),  # EMPTY_TUPLE
    b'\x85': lambda pm: pm.push(tuple(pm.pop(1))),  # TUPLE1
    b'\x86': lambda pm: pm.push(tuple(pm.pop(2))),  # TUPLE2
    b'\x87': lambda pm: pm.push(tuple(pm.pop(3))),  # TUPLE3
    b'd': _push_dict,  # DICT
    b'}': lambda pm: pm.push({}),  # EMPTY_DICT
    b's': lambda pm: pm.set_items(pm.pop(2)),  # SETITEM
    b'u': lambda pm: pm.set_items(pm.pop_to_mark()),  # SETITEMS
    b'c': lambda pm: pm.push_name(pm.read_line(), pm.read_line()),  # GLOBAL
    b'\x93': lambda pm: pm.push_name(*pm.pop(2)),  # STACK_GLOBAL
    b'R': _PickleMachine.call,  # REDUCE
    b'b': _PickleMachine.build,  # BUILD
    b'p': lambda pm: _put(pm, int(pm.read_line())),  # PUT
    b'q': lambda pm: _put(pm, pm.read_number('<B')),  # BINPUT
    b'r': lambda pm: _put(pm, pm.read_number('<I')),  # LONG_BINPUT
    b'\x94': lambda pm: _put(pm, len(pm.memo)),  # MEMOIZE
    b'g': lambda pm: pm.push(pm.memo[int(pm.read_line())]),  # GET
    b'h': lambda pm: pm.push(pm.memo[pm.read_number('<B')]),  # BINGET
    b'j': lambda pm: pm.push(pm.memo[pm.read_number('<I')]),  # LONG_BINGET
    b'\x80': lambda pm: pm.read_bytes(1),  # PROTO
    b'\x95': _check_frame,  # FRAME
    b'i': _refuse_instance,  # INST
    b'o': lambda pm: pm.refuse('an instance'),  # OBJ
    b'\x81': lambda pm: pm.refuse('an instance'),  # NEWOBJ
    b'\x92': lambda pm: pm.refuse('an instance'),  # NEWOBJ_EX
    b'P': lambda pm: pm.refuse('a persistent id'),  # PERSID
    b'Q': lambda pm: pm.refuse('a persistent id'),  # BINPERSID
    b'\x82': lambda pm: pm.refuse('an extension code'),  # EXT1
    b'\x83': lambda pm: pm.refuse('an extension code'),  # EXT2
    b'\x84': lambda pm: pm.refuse('an extension code'),  # EXT4
    b'\x8f': lambda pm: pm.refuse('a set'),  # EMPTY_SET
    b'\x91': lambda pm: pm.refuse('a set'),  # FROZENSET
    b'\x97': lambda pm: pm.refuse('a buffer outside the file'),  # NEXT_BUFFER
}


def _line_ends_changed(file):
    """Whether every LF in the first megabyte of a damaged file stands behind a CR."""
    file.seek(0)
    start = file.read(1 << 20)
    return start.count(b'\n') == start.count(b'\r\n') > 0


def read_pickle(file: BinaryIO) -> object:
    """What a pickle holds: plain Python values, and arrays as `PickledArray`.

    `file` is open for reading in binary mode. The pickle may come from Python 2 or 3, numpy 1 or
    2, in any protocol. Python 2's strings are read as bytes, the keys of dicts always as str.
    Nothing in the file is executed; memory and time are bounded (`MAX_*` above). Raises
    PickleError, which says in one line what was refused or is damaged.
    """
    machine = _PickleMachine(file)
    try:
        return machine.run()
    except Exception as error:  # a broken pickle may fail in any way
        file.seek(0)
        start = file.read(12)
        if isinstance(error, RefusedError):
            raise
        is_pickle = start[:1] == b'\x80'  # of protocol 2 or later
        if is_pickle and _line_ends_changed(file):
            raise PickleError(LINE_ENDS) from None
        if machine.executed < 3 and not is_pickle:
            raise PickleError(
                f'it is no pickle: it begins with {start!r}; the lab reads a pickle of arrays, '
                f'mosi_raw.pkl'
            ) from None
        if isinstance(error, PickleError):
            raise
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:120]
    raise PickleError(
        f'it is damaged near byte {machine.offset:,} ({reason}). Download or copy it again'
    )
