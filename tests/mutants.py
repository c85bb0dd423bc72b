"""Damaged and hostile pickles: valid ones of every packing, and what is done to them.

`mutant(N)` are the bytes of the mutant of that number and depend on it alone; `hostile_fields()`
has every hostile snippet as the value of every field. `fuzz.py` lets the lab read them.
"""

import itertools
import pickle
import pickletools
import random
from functools import lru_cache

import numpy as np

from msa_lab.data import SPLITS
from tests.hostile_pickles import COUNT, HOSTILE, PAYLOADS, WIDTHS, many_long_ids

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
    insert_snippet,
    replace_by_snippet,
    insert_field,
    insert_field,
    insert_field,
    rename_field,
    insert_from_another,
    replace_from_another,
    delete_instructions,
    repeat_instructions,
    swap_instructions,
    change_instructions,
    change_instructions,
    append_another,
    flip_bits,
    flip_bits,
    delete_bytes,
    repeat_bytes,
    cut,
)


def mutant(number):
    """The bytes of the mutant of that number."""
    rng = random.Random(number)
    ops = [*instructions(rng.choice([*bases()]))]
    for i in sorted(rng.choices(range(len(MUTATIONS)), k=rng.choice((1, 1, 1, 2, 3)))):
        if any(ops):
            ops = MUTATIONS[i](rng, ops)
    return b''.join(ops)


def hostile_fields():
    """Every hostile snippet as the value of every kind of field in all splits, as {name: bytes}."""
    ops = instructions('protocol 4')
    return {'many long ids': many_long_ids()} | {
        f'{key}: {name}': b''.join(with_field(ops, key, value))
        for key in ('train', 'vision', 'labels', 'id', 'raw_text')
        for name, value in (PAYLOADS | HOSTILE).items()
    }
