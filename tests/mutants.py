"""Damaged and hostile pickles: valid ones of every packing, and what is done to them.

`mutant(N)` are the bytes of the mutant of that number and depend on it alone; `hostile_fields()`
has every hostile snippet as the value of every field. `fuzz.py` lets the lab read them.
"""

import itertools
import pickle
import pickletools
import random
import struct
from functools import lru_cache

import numpy as np

from msa_lab.data import SPLITS, STEPS

COUNT = 5  # utterances of every split, so that a forged field fits each of them
WIDTHS = {'vision': 3, 'text': 4, 'audio': 2}  # small: mutations shall hit what is not a number
LONG = 68  # this many features make an array that is too long to be kept as a short string


# What is mutated: valid files of every packing that the reader knows.


def _changed(content, change):
    """A copy of the content in which `change(fields)` has updated each split."""
    return {split: fields | change(fields) for split, fields in content.items()}


def _small(fields):
    return {
        **{name: np.ascontiguousarray(fields[name][..., :n]) for name, n in WIDTHS.items()},
        **({'raw_text': [t[:20] for t in fields['raw_text']]} if 'raw_text' in fields else {}),
    }


def _double(fields):
    return {name: fields[name].astype(np.float64) for name in (*WIDTHS, 'labels')}


def _long(fields):
    return {'text': np.repeat(fields['text'], LONG // WIDTHS['text'], axis=-1)}


def _numpy_strings(fields):
    """Ids and texts as arrays of numpy's own strings and of objects; arrays in Fortran's order."""
    return {
        'id': np.array(fields['id']),
        'raw_text': np.array(fields['raw_text'], dtype=object),
        'labels': np.asfortranarray(fields['labels'][..., 0]),
        'vision': np.asfortranarray(fields['vision']),
    }


@lru_cache
def bases():
    """The unmutated files, as {name: bytes}; every one of them is a valid data set."""
    from tests import packings  # here: the child shall not load what makes the stand-in

    size = dict(videos=(2, 2, 2), utterances=(COUNT,) * 3)
    content, mult, mmsa = (
        _changed(make(**size), _small)
        for make in (packings.make_standin, packings.mult, packings.mmsa)
    )
    double, long = _changed(content, _double), _changed(content, _long)
    return {
        **{f'protocol {n}': pickle.dumps(content, n) for n in (0, 2, 4, 5)},
        **{f'long, protocol {n}': pickle.dumps(long, n) for n in (0, 2, 5)},
        **{f'Python 2, protocol {n}': packings.dumps_python2(double, n) for n in (0, 2)},
        'float64': pickle.dumps(double, 4),
        'float64, long': pickle.dumps(_changed(long, _double), 4),
        'MulT': pickle.dumps(mult, 4),
        'MMSA': pickle.dumps(mmsa, 4),
        'numpy strings': pickle.dumps(_changed(content, _numpy_strings), 5),
    }


@lru_cache
def instructions(name):
    """The instructions of a base, as a tuple of byte strings."""
    raw = bases()[name]
    # Of a text pickle, genops takes no escapes beyond ASCII; the places are the same without.
    plain = raw if raw.startswith(b'\x80') else raw.replace(b'\\', b'/')
    starts = [place for _, _, place in pickletools.genops(plain)]
    return tuple(raw[a:b] for a, b in itertools.pairwise([*starts, len(raw)]))


# What is put in.

# Each leaves a file 'executed' when a careless program opens it: see test_fuzz.py.
PAYLOADS = {
    'GLOBAL': b"cos\nsystem\n(S'echo>executed'\ntR",
    'STACK_GLOBAL': b'\x8c\x02os\x8c\x06system\x93\x8c\x0decho>executed\x85R',
    'STACK_GLOBAL of memo': b"S'os'\nq\xf0S'system'\nq\xf1h\xf0h\xf1\x93S'echo>executed'\n\x85R",
    'eval': b"cbuiltins\neval\n(Vopen('executed','w')\ntR",
    'exec': b"c__builtin__\nexec\n(Vopen('executed','w')\ntR",
    'INST': b"(S'echo>executed'\nios\nsystem\n",
    'OBJ': b"(cos\nsystem\nS'echo>executed'\no",
    'NEWOBJ': b'cbuiltins\ntuple\ncbuiltins\nmap\ncos\nsystem\n'
    b"(S'echo>executed'\nl\x86\x81\x85\x81",
    'getattr': b"cbuiltins\ngetattr\ncos\nsystem\nS'__call__'\n\x86RS'echo>executed'\n\x85R",
}


def _array(shape, dtype, content):
    """Instructions for an array, whatever it is that they say of it."""
    return (
        b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01' + shape
        + b'cnumpy\ndtype\n(X\x02\x00\x00\x00' + dtype + b'\x89\x88tR(K\x03X\x01\x00\x00\x00<NNN'
        + b'J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89' + content + b'tb'
    )  # fmt: skip


def _raw(content):
    return b'B' + struct.pack('<I', len(content)) + content


def _ids(one):
    """A list of as many ids as a split needs, all the same."""
    return b'(' + one * COUNT + b'l'


ROWS = b'K%c' % COUNT
CELLS = ROWS + b'K%cK\x01' % STEPS
COLLISIONS = [k * (2**61 - 1) for k in range(60_000)]  # to a dict they all have one hash

HOSTILE = {
    # Claims that are not true.
    'memo of 2**31': b'Nr\xff\xff\xff\x7f0',
    'BINBYTES of 2**32': b'B\xff\xff\xff\xff',
    'BINBYTES8 of 2**40': b'\x8e' + struct.pack('<Q', 1 << 40),
    'BINBYTES8 of 2**63': b'\x8e' + struct.pack('<Q', 1 << 63),
    'BYTEARRAY8 of 2**40': b'\x96' + struct.pack('<Q', 1 << 40),
    'BINUNICODE8 of 2**40': b'\x8d' + struct.pack('<Q', 1 << 40),
    'BINSTRING of -1': b'T\xff\xff\xff\xff',
    'LONG4 of 2**31': b'\x8b\xff\xff\xff\x7f',
    'FRAME of 2**60': b'\x95' + struct.pack('<Q', 1 << 60),
    'a number of 900 digits': b'I' + b'9' * 900 + b'\n',
    # Too much of something.
    'a million marks': b'(' * 1_000_000,
    'a million values': b'N' * 1_000_000,
    'more and more values': b'N0' * 600_000,
    'deep tuples': b')' + b'\x85' * 100_000,
    'deep tuples as a key': b'})' + b'\x85' * 100_000 + b'Ns',
    'deep lists': b']' + b']a' * 100_000,  # not nested by a correct reading, but long
    'wide tuples': b'U\x01x' + b'2\x86' * 60,
    'keys of one hash': b'}(' + b''.join(b'I%d\nN' % k for k in COLLISIONS) + b'u',
    'memo of one hash': b'N' + b''.join(b'p%d\n' % k for k in COLLISIONS) + b'0',
    'one text encoded again and again': b'c_codecs\nencode\nq\xf00X\x00\x00\x01\x00'
    + b'x' * 65536 + b'q\xf10(' + b'h\xf0h\xf1\x85R' * 50_000 + b'l',
    'one scalar again and again': b'cnumpy.core.multiarray\nscalar\nq\xf00cnumpy\ndtype\n'
    + b'(U\x06S60000\x89\x88tR' + _raw(b'x' * 60_000) + b'\x86q\xf10('
    + b'h\xf0h\xf1R' * 30_000 + b'l',
    'one dtype with many arguments': b'cnumpy\ndtype\nq\xf00(U\x02f4' + b'N' * 300_000
    + b'tq\xf10' + b'h\xf0h\xf1R0' * 150_000 + b'N',
    # Not what it seems.
    'a persistent id': b'Pexecuted\n',
    'an extension': b'\x82\x01',
    'a set': b'\x8f',
    'a buffer outside': b'\x97',
    'a list in itself': b']2a',
    'a list in itself, twice': b']2a2a',
    'a dict in itself': b'}U\x05trainN0U\x05train0',
    'an escape that is none': b"S'\\q'\n",
    'keys that break the line': b'}X\x03\x00\x00\x00a\nbNs',
    # Arrays that are none.
    'object pointers': _array(b'K\x01\x85', b'O8', _raw(b'A' * 8)),
    'void': _array(b'K\x01\x85', b'V8', _raw(b'A' * 8)),
    'dates': _array(b'K\x01\x85', b'M8', _raw(b'A' * 8)),
    'a huge shape': _array(b'K\x01J\xff\xff\xff\x7f\x86', b'f4', _raw(b'AAAA')),
    'a negative shape': _array(b'J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86', b'f4', _raw(b'AAAA')),
    'no cells': _array(b'K\x002\x86', b'f4', _raw(b'')),
    # Fields: what fits as far as its length.
    'labels beyond float32': _array(ROWS + b'\x85', b'f8', _raw(struct.pack('<d', 1e300) * COUNT)),
    'labels of nan': _array(ROWS + b'\x85', b'f2', _raw(b'\xff\xff' * COUNT)),
    'labels, shape is a dict': _array(b'}' + ROWS + b'Ns', b'i1', _raw(bytes(COUNT))),
    'labels, shape grows': _array(b'(' + ROWS + b'lq\xf0', b'i1', _raw(bytes(COUNT)))
    + b'h\xf0J\xff\xff\xff\x7fa0',
    'features, shape is a dict': _array(
        b'}(' + ROWS + b'NK%cNK\x01Nu' % STEPS, b'i1', _raw(bytes(COUNT * STEPS))
    ),
    'features, shape is bytes': _array(
        _raw(bytes([COUNT, STEPS, 1])), b'i1', _raw(bytes(COUNT * STEPS))
    ),
    'features, shape grows': _array(
        b'(' + CELLS + b'lq\xf0', b'i1', _raw(bytes(COUNT * STEPS))
    ) + b'h\xf0J\xff\xff\xff\x7fa0',
    'features of bytes': _array(b'(' + CELLS + b't', b'i1', _raw(bytes(COUNT * STEPS))),
    'features of nan': _array(b'(' + CELLS + b't', b'f2', _raw(b'\xff' * COUNT * STEPS * 2)),
    'ids: no columns': _array(ROWS + b'K\x00\x86', b'O8', b']'),
    'ids: no characters': _array(ROWS + b'\x85', b'U1', _raw(b'\xff' * 4 * COUNT)),
    'ids: a list in itself': _ids(b']2a'),
    'ids: a list in itself, twice': _ids(b']2a2a'),
    'ids: wide tuples': _ids(b'U\x01x' + b'2\x86' * 60),
    'ids: deep tuples': _ids(b'U\x01x' + b'\x85' * 20_000),
    'ids: deep pairs': _ids(b'U\x01x' + b'U\x01y\x86' * 5_000),
    'ids: arrays in an array': _array(
        ROWS + b'\x85', b'O8', _ids(_array(b'K\x01\x85', b'U1', _raw(b'\xff' * 4)))
    ),
    'ids: broken lines': _ids(b'U\x03a\nb'),
    'ids: no text': _ids(b'U\x02\xff\xfe'),
    'ids: a dict': b'}' + ROWS + b'Ns',
    'ids: numbers': _ids(b'I' + b'9' * 900 + b'\n'),
}  # fmt: skip

OPCODES = [opcode.code.encode('latin1') for opcode in pickletools.opcodes]
KEYS = (*WIDTHS, 'labels', 'regression_labels', 'id', 'raw_text', *SPLITS, 'a\nb', '')
NASTY = b'\x00\n\r\x0b\x1c\x7f\x80\xff0(.' + bytes(range(48, 58))  # bytes that mean something


def snippet(rng):
    """Some instructions, hostile or at random."""
    choice = rng.randrange(10)
    if choice == 0:
        return b''.join(rng.choices(OPCODES, k=rng.randint(1, 6)))
    if choice == 1:
        return rng.choice((b'h%c', b'q%c', b'j%c\0\0\0', b'g%d\n', b'p%d\n')) % rng.randrange(256)
    if choice == 2:
        return rng.choice((b'0', b'1', b'2', b'N', b')', b'}', b']', b'(', b'.')) * rng.randint(
            1, 5
        )
    return rng.choice([*(HOSTILE if choice > 4 else PAYLOADS).items()])[1]


# Mutations: each takes the instructions of a pickle, as a list of bytes, and gives new ones.


def _slice(rng, length, most):
    start = rng.randrange(length)
    return start, min(length, start + rng.randint(1, most))


def insert_snippet(rng, ops):
    place = rng.randrange(len(ops) + 1)
    return [*ops[:place], snippet(rng), *ops[place:]]


def replace_by_snippet(rng, ops):
    start, end = _slice(rng, len(ops), 3)
    return [*ops[:start], snippet(rng), *ops[end:]]


def with_field(ops, key, value, choose=lambda places: places):
    """The key gets one more value where a dict is filled, in the places that are chosen."""
    pair = b'U%c%b%b' % (len(key), key.encode(), value)
    places = choose([i for i, op in enumerate(ops) if op in (b'u', b's')])
    extended = {b'u': [pair, b'u'], b's': [b's', pair, b's']}
    return [*itertools.chain(*(extended[op] if i in places else [op] for i, op in enumerate(ops)))]


def insert_field(rng, ops):
    everywhere = rng.random() < 0.3
    return with_field(
        ops,
        rng.choice(KEYS),
        snippet(rng),
        lambda places: places if everywhere else rng.choices(places) if places else [],
    )


def rename_field(rng, ops):
    """A key of a dict becomes another key."""
    names = [key.encode() for key in KEYS if key]
    places = [i for i, op in enumerate(ops) if len(op) < 25 and any(name in op for name in names)]
    if not places:
        return ops
    place, other = rng.choice(places), rng.choice(KEYS).encode()
    return [*ops[:place], b'U%c%b' % (len(other), other), *ops[place + 1 :]]


def insert_from_another(rng, ops):
    other = instructions(rng.choice([*bases()]))
    place, (start, end) = rng.randrange(len(ops) + 1), _slice(rng, len(other), 20)
    return [*ops[:place], *other[start:end], *ops[place:]]


def replace_from_another(rng, ops):
    """An instruction gives way to one of the same kind from another file."""
    place, other = rng.randrange(len(ops)), instructions(rng.choice([*bases()]))
    same = [op for op in other if op[:1] == ops[place][:1]]
    return [*ops[:place], rng.choice(same or other), *ops[place + 1 :]]


def delete_instructions(rng, ops):
    start, end = _slice(rng, len(ops), 3)
    return [*ops[:start], *ops[end:]]


def repeat_instructions(rng, ops):
    start, end = _slice(rng, len(ops), 20)
    return [*ops[:end], *ops[start:]]


def swap_instructions(rng, ops):
    ops, (a, b) = list(ops), (rng.randrange(len(ops)) for _ in range(2))
    ops[a], ops[b] = ops[b], ops[a]
    return ops


def change_instructions(rng, ops):
    """Flips bits or sets bytes where they are not the numbers of an array."""
    ops = list(ops)
    short = [i for i, op in enumerate(ops) if len(op) < 100]
    for i in rng.choices(short, k=rng.randint(1, 5)) if short else ():
        op = bytearray(ops[i])
        place = rng.randrange(len(op))
        op[place] = rng.choice((op[place] ^ 1 << rng.randrange(8), rng.choice(NASTY)))
        ops[i] = bytes(op)
    return ops


def flip_bits(rng, ops):
    raw = bytearray(b''.join(ops))
    for _ in range(rng.randint(1, 20)):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return [bytes(raw)]


def delete_bytes(rng, ops):
    raw = b''.join(ops)
    start, end = _slice(rng, len(raw), 300)
    return [raw[:start] + raw[end:]]


def repeat_bytes(rng, ops):
    raw = b''.join(ops)
    start, end = _slice(rng, len(raw), 300)
    return [raw[:end] + raw[start:]]


def cut(rng, ops):
    raw = b''.join(ops)
    return [raw[: rng.randrange(len(raw))]]


def append_another(rng, ops):
    return [*ops, *instructions(rng.choice([*bases()]))]


# In this order they are combined: those on instructions before those on bytes.
MUTATIONS = (
    insert_snippet, replace_by_snippet, insert_field, insert_field, insert_field, rename_field,
    insert_from_another, replace_from_another, delete_instructions, repeat_instructions,
    swap_instructions, change_instructions, change_instructions, append_another,
    flip_bits, flip_bits, delete_bytes, repeat_bytes, cut,
)  # fmt: skip


def mutant(number):
    """The bytes of the mutant of that number."""
    rng = random.Random(number)
    ops = [*instructions(rng.choice([*bases()]))]
    for i in sorted(rng.choices(range(len(MUTATIONS)), k=rng.choice((1, 1, 1, 2, 3)))):
        if any(ops):
            ops = MUTATIONS[i](rng, ops)
    return b''.join(ops)


def many_long_ids(count=8000):
    """Half a MB that says it has `count` utterances, every id the same text of 64 KB."""
    rows = b'J' + struct.pack('<i', count)
    features = _array(b'(' + rows + b'K%cK\x01t' % STEPS, b'i1', b'h\xf1')
    fields = dict.fromkeys(WIDTHS, features) | {
        'labels': _array(rows + b'\x85', b'i1', _raw(bytes(count))),
        'id': b'(' + b'h\xf0' * count + b'l',
    }
    split = b'}' + b''.join(
        b'U%c%b%bs' % (len(key), key.encode(), value) for key, value in fields.items()
    )
    return (
        _raw(b'x' * 65536) + b'q\xf00' + _raw(bytes(count * STEPS)) + b'q\xf10' + split + b'q\xf20}'
        + b''.join(b'U%c%bh\xf2s' % (len(key), key.encode()) for key in SPLITS) + b'.'
    )  # fmt: skip


def hostile_fields():
    """Every hostile snippet as the value of every kind of field in all splits, as {name: bytes}."""
    ops = instructions('protocol 4')
    return {'many long ids': many_long_ids()} | {
        f'{key}: {name}': b''.join(with_field(ops, key, value))
        for key in ('train', 'vision', 'labels', 'id', 'raw_text')
        for name, value in (PAYLOADS | HOSTILE).items()
    }
