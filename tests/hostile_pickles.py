"""Hostile snippets of pickles: payloads that run code when they are opened, claims that lie.

They are instructions, not whole pickles: `mutants.py` puts them into files.
"""

import struct

from msa_lab.data import SPLITS, STEPS

COUNT = 5  # utterances of every split, so that a forged field fits each of them
WIDTHS = {'vision': 3, 'text': 4, 'audio': 2}  # small: mutations shall hit what is not a number

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
    """Instructions for an array; shape, dtype and content are instructions too."""
    return (
        b'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR(K\x01'
        + shape
        + b'cnumpy\ndtype\n(X\x02\x00\x00\x00'
        + dtype
        + b'\x89\x88tR(K\x03X\x01\x00\x00\x00<NNN'
        + b'J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89'
        + content
        + b'tb'
    )


def _raw(content):
    """The instruction for a byte string."""
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
        _raw(b'x' * 65536)
        + b'q\xf00'
        + _raw(bytes(count * STEPS))
        + b'q\xf10'
        + split
        + b'q\xf20}'
        + b''.join(b'U%c%bh\xf2s' % (len(key), key.encode()) for key in SPLITS)
        + b'.'
    )
