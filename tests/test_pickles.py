"""The reader of pickles: what it understands, what it refuses, and that nothing is ever run."""

import io
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msa_lab.data import DataError, DataWarning, load_split
from msa_lab.data.pickle_reader import ALLOWED, read_pickle
from msa_lab.data.synthetic import make_standin
from tests.packings import TINY

ROOT = Path(__file__).parent.parent


def read(raw):
    """What a pickle of these bytes holds."""
    return read_pickle(io.BytesIO(raw))


def error_message(raw, folder):
    """The line that a user sees who opens a file of these bytes."""
    path = folder / 'a.pkl'
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        load_split(path)
    message = str(caught.value)
    assert message.startswith(('a.pkl: ', 'a.pkl, '))
    assert message.isprintable()
    assert len(message) < 400
    return message.removeprefix('a.pkl: ').removeprefix('a.pkl, ')


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    255,
    256,
    65536,
    -(2**31),
    2**40,
    1.5,
    float('inf'),
    '',
    'word',
    '情感',
    'a' * 300,
    b'',
    b'bytes',
    [],
    [1, [2, (3,)]],
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    {},
    {'a': 1, 'b': {'c': [1, 2]}},
    list(range(3000)),
    {str(i): i for i in range(3000)},
]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back(protocol):
    for value in PLAIN:
        assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('dtype', ['f2', 'f4', '>f8', 'i1', '>i4', 'u2', 'b1', 'S3', 'U4', '>U2'])
def test_arrays_come_back(protocol, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for value in (array, array[..., 0], array[:0], np.asfortranarray(array), array[0, 0, 0]):
        stored = read(pickle.dumps(value, protocol))
        if np.ndim(value):
            assert stored.shape == value.shape
            stored = stored.read()
        np.testing.assert_array_equal(stored, value)


def test_large_arrays_stay_in_the_file_until_they_are_read():
    array = np.random.default_rng(0).normal(size=(300, 50, 20))
    array[3, 4, 5:7] = np.inf, np.nan
    array[9] *= 1e300
    for protocol in range(6):
        stored = read(pickle.dumps({'x': array, 'again': array}, protocol))['x']
        assert not isinstance(stored.content, bytes)
        np.testing.assert_array_equal(stored.read(), array)
        floats, repaired = stored.read_float32()
        assert floats.dtype == np.float32
        assert repaired == np.count_nonzero(~np.isfinite(array)) + np.count_nonzero(
            np.abs(array[9]) > np.finfo('f4').max
        )
        with np.errstate(over='ignore'):
            expected = array.astype(np.float32)
        expected[~np.isfinite(expected)] = 0
        np.testing.assert_array_equal(floats, expected)


def test_what_is_shared_is_shared():
    array = np.zeros(3)
    first, second = read(pickle.dumps([array, array]))
    assert first is second


def test_only_what_arrays_need_is_allowed():
    """A new entry here opens a door: think of what it can be made to do."""
    assert {
        ('numpy', 'ndarray'),
        ('numpy', 'dtype'),
        ('_codecs', 'encode'),
        ('builtins', 'bytes'),
        ('__builtin__', 'bytes'),
        ('numpy.core.multiarray', '_reconstruct'),
        ('numpy._core.multiarray', '_reconstruct'),
        ('numpy.core.multiarray', 'scalar'),
        ('numpy._core.multiarray', 'scalar'),
        ('numpy.core.numeric', '_frombuffer'),
        ('numpy._core.numeric', '_frombuffer'),
    } == ALLOWED


class Call:
    """Pickles as a call of a global with arguments, then a state to build."""

    def __init__(self, call, *args, state=None):
        self.parts = (call, args) if state is None else (call, args, state)

    def __reduce__(self):
        return self.parts


def refused(what):
    return (
        f'refused: {what}, which a file of arrays does not need; nothing was executed. '
        f'Do not open this file with pickle.load'
    )


_frombuffer = np._core.numeric._frombuffer

# A hostile value that stands where the ids should, and the line that the user sees.
HOSTILE = {
    'a command': (Call(os.system, 'touch executed'), refused(f'{os.system.__module__}.system')),
    'code to evaluate': (Call(eval, '__import__("os").system("touch executed")'),
                         refused('builtins.eval')),
    'a function fetched by name': (Call(getattr, 'x', '__class__'), refused('builtins.getattr')),
    'an object of a class': (Path('x'), refused('pathlib._local.Path')),
    'object pointers made of bytes': (
        Call(np.ndarray, (40,), np.dtype('O'), b'A' * 320),
        refused('such a call of numpy.ndarray'),
    ),
    'a huge array of stride zero': (
        Call(np.ndarray, (1 << 34,), 'f4', b'AAAA', 0, (0,)),
        refused('such a call of numpy.ndarray'),
    ),
    'an object dtype over a buffer': (
        Call(_frombuffer, b'A' * 80, np.dtype('O'), (10,), 'C'),
        refused('an object array over memory'),
    ),
    'a dtype with fields': (
        np.zeros(2, np.dtype([('a', 'f4'), ('b', 'O')])), refused("numpy.dtype 'V12'"),
    ),
    'a date': (np.zeros(2, 'M8[s]'), refused("numpy.dtype 'M8'")),
    'a changed function': (
        Call(_frombuffer, b'A' * 8, np.dtype('f8'), (1,), 'C', state={'shape': 3}),
        refused('changing what is no array'),
    ),
    'a codec that unpacks': (
        Call(__import__('_codecs').encode, 'x', 'zip'), refused('such a call of _codecs.encode'),
    ),
    'a set': ({1, 2}, refused('a set')),
}  # fmt: skip


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
@pytest.mark.parametrize('case', HOSTILE)
def test_hostile_values_are_refused_by_name(tmp_path, monkeypatch, case, protocol):
    monkeypatch.chdir(tmp_path)
    value, line = HOSTILE[case]
    content = make_standin(**TINY)
    content['train']['id'] = value
    message = error_message(pickle.dumps(content, protocol), tmp_path)
    if case in ('an object of a class', 'a set'):  # spelled differently in old protocols
        assert message.startswith('refused: ')
    elif protocol >= 4 or case not in ('a command', 'code to evaluate'):
        assert message == line.replace('builtins', '__builtin__' if protocol < 3 else 'builtins')
    assert not Path('executed').exists()


# Bytes made by hand, and the beginning of the line that the user sees.
FORGED = {
    'a class by INST': (b'(ios\nsystem\n.', refused('os.system')),
    'a call by OBJ': (b'\x80\x02(cnumpy\ndtype\no.', refused('an instance')),
    'a new object': (b'\x80\x02cnumpy\ndtype\n)\x81.', refused('an instance')),
    'a persistent id': (b'\x80\x02Pfile:///etc/passwd\n.', refused('a persistent id')),
    'an extension': (b'\x80\x02\x82\x01.', refused('an extension code')),
    'a shape beyond its content': (
        pickle.dumps(Call(_frombuffer, b'A' * 8, np.dtype('f8'), (1 << 40,), 'C'), 4),
        'it is damaged near byte',
    ),
    'a string of a terabyte': (
        b'\x80\x04\x8e' + struct.pack('<Q', 1 << 40) + b'x',
        'it is cut off: it ends after 12 bytes',
    ),
    'a frame of an exabyte': (
        b'\x80\x04\x95' + struct.pack('<Q', 1 << 60) + b'N.', 'it is cut off: it ends after 13',
    ),
    'a memo of two thousand million': (
        b'\x80\x02}r' + struct.pack('<I', 2**31 - 1) + b'.', 'it is damaged near byte 3',
    ),
    'a number of a gigabyte': (
        b'\x80\x02\x8b' + struct.pack('<I', 1 << 30) + bytes(99), 'it is damaged near byte 2',
    ),
    'marks without end': (b'\x80\x02' + b'(' * 5000, 'nested more than 100 deep'),
    'two million instructions': (
        b'\x80\x02' + b'N0' * 1_000_000 + b'.', 'more than 1,000,000 instructions',
    ),
    'a deep tuple as a key': (
        b'\x80\x02}N' + b'\x85' * 300_000 + b'Ns.', 'it is damaged near byte',
    ),
    'a deep list': (b'\x80\x02]' + b'\x85' * 900_000 + b'.', 'expected a dict of splits'),
    'a list in itself': (b'\x80\x02]q\0h\0a.', 'expected a dict of splits, found a list'),
    'nothing on the stack': (b'\x80\x02.', 'it is damaged near byte 2'),
    'a value from nowhere': (b'\x80\x02h\x07.', 'it is damaged near byte 2'),
}  # fmt: skip


@pytest.mark.parametrize('case', FORGED)
def test_forged_files_end_in_a_clear_error(tmp_path, case):
    raw, line = FORGED[case]
    assert error_message(raw, tmp_path).startswith(line)


def shared_tuple(opcode, depth=40):
    """A tuple of two, each the tuple before: 2 ** depth leaves in a few hundred bytes."""
    return b'Vx\nq\0' + b''.join(b'h%ch%c\x86q%c' % (k, k, k + 1) for k in range(depth)) + opcode


def content_with(**fields):
    """A small file whose training split has other fields, as a pickle."""
    content = make_standin(**TINY)
    content['train'] |= fields
    return pickle.dumps(content, 4)


def greedy_files():
    """Small files that ask for much: {what: (bytes, the beginning of the error or warning)}."""
    n, text = 20_000, 'x' * 9_000
    once = np.zeros((1, 50, 200_000), 'i1')
    twice = {'vision': once, 'text': once, 'audio': once, 'labels': np.zeros(1), 'id': ['a']}
    cells = np.zeros(3, 'U99999')
    many = dict(
        vision=np.zeros((n, 50, 1), 'i1'),
        text=np.zeros((n, 50, 1), 'i1'),
        audio=np.zeros((n, 50, 1), 'i1'),
        labels=np.zeros(n, 'f4'),
    )
    few = {name: array[:2] for name, array in many.items()} | {'id': ['a', 'b']}
    return {
        'a name of 2 ** 40 parts': (
            b'\x80\x04(Vx\n' + shared_tuple(b'Vx\n\x93.'),
            'it is damaged near byte',
        ),
        'the same arrays again and again': (
            pickle.dumps(dict.fromkeys(('train', 'valid', 'test'), twice), 4),
            'the same arrays are used again and again',
        ),
        'one long text for everyone': (
            pickle.dumps({'train': many | {'id': [text] * n}, 'valid': few, 'test': few}, 4),
            "split 'train', field 'id': expected short texts, found 16,",
        ),
        'one array of texts for everyone': (
            pickle.dumps({'train': many | {'id': [cells] * n}, 'valid': few, 'test': few}, 4),
            "split 'train', field 'id': expected strings, found an array of <U99999 (3,)",
        ),
        'ids of nobody': (
            content_with(id=np.zeros(5_000_000, 'S2')),
            "split 'train', field 'id': expected 6 strings, found an array of |S2",
        ),
        'labels of nobody': (
            content_with(labels=np.zeros(20_000_000, 'i1')),
            "split 'train': expected as many utterances in every field, found 6 in vision",
        ),
        'keys of a thousand digits': (
            b'\x80\x02I' + b'9' * 990 + b'\nq\0' + b'}h\0Ns' * 1000 + b'.',
            'it is damaged',
        ),
    }


def test_time_and_memory_stay_bounded(tmp_path):
    """Every forged file, and 50 MB of instructions, within a process that may not grow."""
    resource = pytest.importorskip('resource', reason='needs POSIX limits')
    floods = [b'\x80\x02' + instruction * 50_000_000 for instruction in (b']', b'}')]
    paths = []
    for raw in [*(raw for raw, _ in (FORGED | greedy_files()).values()), *floods]:
        paths.append(tmp_path / f'{len(paths)}.pkl')
        paths[-1].write_bytes(raw)
    code = (
        'import resource, sys, time; from msa_lab.data import load_split, DataError\n'
        'before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'for path in sys.argv[1:]:\n'
        '    try:\n'
        '        load_split(path)\n'
        '    except DataError:\n'
        '        pass\n'
        'after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n'
        'print((after - before) // 1024)\n'
    )
    assert resource
    run = subprocess.run(
        [sys.executable, '-c', code, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 400  # MB


def test_files_that_ask_for_much_end_in_a_clear_line(tmp_path):
    """In an error, or in a warning where it is an optional field that asks for much."""
    for what, (raw, line) in greedy_files().items():
        if "field 'id'" in line:
            (tmp_path / 'a.pkl').write_bytes(raw)
            with pytest.warns(DataWarning) as caught:
                load_split(tmp_path / 'a.pkl')
            message = str(caught[0].message).removeprefix('a.pkl: ')
            assert len(message) < 400
        else:
            message = error_message(raw, tmp_path)
        assert message.startswith(line), what


@pytest.mark.parametrize('name', ['n\nl\x1b[2J.pkl', '情感.pkl', 'a' * 300])
def test_odd_file_names_stay_on_one_line(tmp_path, name):
    path = tmp_path / name
    with pytest.raises((FileNotFoundError, DataError)) as caught:
        load_split(path)
    assert str(caught.value).isprintable()
    if len(name) < 100:
        path.write_bytes(b'no pickle')
        with pytest.raises(DataError) as caught:
            load_split(path)
        assert str(caught.value).isprintable()


def test_numpy_itself_is_left_as_it_was(tmp_path):
    for raw, _ in FORGED.values():
        error_message(raw, tmp_path)
    assert pickle.loads(pickle.dumps(np.arange(3.0), protocol=5)).sum() == 3
