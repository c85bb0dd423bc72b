"""Reading a pickle: nothing is executed, nothing wrong goes unsaid, the file is opened once."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from msa_lab import data
from msa_lab.data import DataError, load_split, read_pickle, true_lengths
from msa_lab.standin import describe, make_standin

TINY = dict(videos=(2, 2, 2), utterances=(6, 4, 5))


@pytest.fixture
def content():
    """The dict of a tiny valid file, for a test to break."""
    return make_standin(**TINY)


def save(content, path, **kwargs):
    path.write_bytes(pickle.dumps(content, **kwargs))
    return path


def complaint(path, split='train'):
    """The one line that the user sees."""
    with pytest.raises(DataError) as caught:
        load_split(path, split)
    message = str(caught.value)
    assert '\n' not in message
    assert path.name in message
    return message


def test_arrays_are_float32_with_the_contract_shapes(small_file):
    split = load_split(small_file, 'train')
    assert split.vision.shape == (97, 50, 35)
    assert split.text.shape == (97, 50, 300)
    assert split.audio.shape == (97, 50, 74)
    assert split.labels.shape == (97,)
    for array in (split.vision, split.text, split.audio, split.labels):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert len(split.ids) == len(split.raw_text) == 97


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_every_pickle_protocol_and_either_float_width(tmp_path, content, protocol, dtype):
    for fields in content.values():
        for name in ('vision', 'text', 'audio', 'labels'):
            fields[name] = fields[name].astype(dtype)
    split = load_split(save(content, tmp_path / 'a.pkl', protocol=protocol), 'valid')
    np.testing.assert_array_equal(split.text, content['valid']['text'].astype(np.float32))


def test_numpy_1_module_names_are_understood(tmp_path, content):
    raw = pickle.dumps(content, protocol=0)
    assert b'numpy._core' in raw
    path = tmp_path / 'numpy1.pkl'
    path.write_bytes(raw.replace(b'numpy._core', b'numpy.core'))
    assert len(load_split(path, 'train')) == 6


@pytest.mark.parametrize('shape', [(6,), (6, 1), (6, 1, 1)])
def test_label_ranks(tmp_path, content, shape):
    labels = content['train']['labels'].reshape(shape)
    content['train']['labels'] = labels
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    np.testing.assert_array_equal(split.labels, labels.reshape(6))


def test_bad_points_become_zero_and_are_counted(tmp_path, content):
    content['train']['audio'][:] = 1
    content['train']['audio'][0, -1, :3] = np.inf, -np.inf, np.nan
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.repaired == {'vision': 0, 'text': 0, 'audio': 3}
    assert split.audio[0, -1, :4].tolist() == [0, 0, 0, 1]


def test_a_float64_beyond_float32_is_a_bad_point(tmp_path, content):
    content['train']['audio'] = content['train']['audio'].astype(np.float64)
    content['train']['audio'][:] = 0
    content['train']['audio'][0, -1, 0] = 1e300
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.repaired['audio'] == 1
    assert split.audio[0, -1, 0] == 0


def test_the_file_is_opened_once_for_all_splits(tmp_path, content, monkeypatch):
    path = save(content, tmp_path / 'a.pkl')
    opened = []
    monkeypatch.setattr(data, 'read_pickle', lambda p: opened.append(p) or read_pickle(p))
    splits = [load_split(path, name) for name in (*data.SPLITS, 'train')]
    assert len(opened) == 1
    assert splits[0].text is splits[3].text


def test_a_changed_file_is_read_again(tmp_path, content):
    path = save(content, tmp_path / 'a.pkl')
    before = load_split(path, 'train').labels.copy()
    content['train']['labels'] = -content['train']['labels']
    save(content, path)
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(load_split(path, 'train').labels, -before)


def test_shared_arrays_cannot_be_changed_by_accident(small_file):
    for name in ('vision', 'text', 'audio', 'labels'):
        with pytest.raises(ValueError, match='read-only'):
            getattr(load_split(small_file, 'train'), name)[0] = 1


def test_true_lengths():
    vision, text, audio = np.zeros((4, 50, 2)), np.zeros((4, 50, 3)), np.zeros((4, 50, 1))
    text[0, 45] = 1  # zeros after the first word are not padding
    vision[1, 40, 1] = audio[1, 44, 0] = -1  # any modality counts
    text[2, 0] = 1  # no padding at all
    assert true_lengths(vision, text, audio).tolist() == [5, 10, 50, 1]  # the last: all padding


def test_unknown_split_and_missing_file(small_file, tmp_path):
    with pytest.raises(ValueError, match=r"train, valid, test; got 'dev'"):
        load_split(small_file, 'dev')
    with pytest.raises(FileNotFoundError, match=r'box\.nju\.edu\.cn') as caught:
        load_split(tmp_path / 'mosi_raw.pkl')
    assert 'msa_lab.standin' in str(caught.value)


class Payload:
    """A pickle of this calls os.system when a careless program opens it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_runs_code_is_refused_by_name(tmp_path):
    mark = tmp_path / 'executed'
    path = save({'train': Payload(f'touch {mark}')}, tmp_path / 'evil.pkl')
    message = complaint(path)
    assert 'refused' in message
    assert 'system' in message
    assert not mark.exists()


def test_the_table_of_what_is_allowed():
    assert set(data._allowed_globals()) == {
        ('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'),
        ('numpy.core.multiarray', '_reconstruct'), ('numpy._core.multiarray', '_reconstruct'),
        ('numpy.core.multiarray', 'scalar'), ('numpy._core.multiarray', 'scalar'),
        ('numpy.core.numeric', '_frombuffer'), ('numpy._core.numeric', '_frombuffer'),
    }  # fmt: skip


class Forged:
    """Pickles as a call of a global with arguments, then a state to build."""

    def __init__(self, call, args, state=None):
        self.parts = (call, args) if state is None else (call, args, state)

    def __reduce__(self):
        return self.parts


FORGED = {
    'object pointers from bytes': Forged(np.ndarray, ((40,), np.dtype('O'), b'A' * 320)),
    'a huge array of stride zero': Forged(np.ndarray, ((1 << 34,), 'f4', b'AAAA', 0, (0,))),
    'a dtype with fields': np.zeros(2, np.dtype([('a', 'f4'), ('b', 'O')])),
    'an object dtype over a buffer': Forged(
        np._core.numeric._frombuffer, (b'A' * 80, np.dtype('O'), (10,), 'C')
    ),
    'a shape beyond its content': Forged(
        np._core.numeric._frombuffer, (b'A' * 8, np.dtype('f8'), (1 << 40,), 'C')
    ),
    'a changed function': Forged(
        np._core.numeric._frombuffer, (b'A' * 8, np.dtype('f8'), (1,), 'C'), {'shape': 3}
    ),
}


@pytest.mark.parametrize('case', FORGED)
def test_forged_arrays_end_in_a_clear_error(tmp_path, content, case):
    content['train']['id'] = FORGED[case]
    complaint(save(content, tmp_path / 'forged.pkl'))
    pickle.loads(pickle.dumps(np.zeros(3), protocol=5))  # numpy itself is as it was


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_strings_scalars_and_objects_of_numpy_are_read(tmp_path, content, protocol):
    content['train']['id'] = np.array([f'v[{i}]'.encode() for i in range(6)])
    content['valid']['id'] = np.array([f'w[{i}]' for i in range(4)], dtype=object)
    content['test']['id'] = [np.array([f'x[{i}]']) for i in range(5)]
    content['extra'] = np.float64(3.5)
    path = save(content, tmp_path / 'a.pkl', protocol=protocol)
    assert load_split(path, 'train').ids[5] == 'v[5]'
    assert load_split(path, 'valid').ids[3] == 'w[3]'
    assert load_split(path, 'test').ids[0] == 'x[0]'
    assert read_pickle(path)['extra'] == 3.5


def test_a_file_that_is_not_the_standin_is_not_called_so(tmp_path, content):
    for fields in content.values():
        fields['id'] = [name.replace('standin', 'video') for name in fields['id']]
    path = save(content, tmp_path / 'a.pkl')
    assert not load_split(path, 'train').is_standin
    assert 'SYNTHETIC' not in describe(path)


def test_a_pickle_of_python_2(tmp_path):
    """Python 2 wrote arrays as byte strings: a float64 array of two numbers."""
    raw = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\nt"
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
        b"S'\\x00\\x00\\x00\\x00\\x00\\x00\\xf8?\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\xc0'\ntb."
    )
    path = tmp_path / 'py2.pkl'
    path.write_bytes(raw)
    assert read_pickle(path).tolist() == [1.5, -2.0]


@pytest.mark.parametrize('name', ['builtins eval', 'builtins getattr', 'numpy load', 'os remove'])
def test_other_globals_are_refused(tmp_path, name):
    path = tmp_path / 'evil.pkl'
    path.write_bytes(f'c{name.replace(" ", chr(10))}\n(tR.'.encode())
    assert f'refused: {name.replace(" ", ".")}' in complaint(path)


def test_only_latin1_may_be_encoded(tmp_path):
    path = tmp_path / 'evil.pkl'
    path.write_bytes(b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.")
    assert "'zip'" in complaint(path)


@pytest.mark.parametrize('raw', [b'', b'<html>', b'\x80\x04', b'PK\x03\x04', b'garbage'])
def test_what_is_no_pickle(tmp_path, raw):
    path = tmp_path / 'a.pkl'
    path.write_bytes(raw)
    assert 'not a readable pickle' in complaint(path)


def test_a_cut_file(tmp_path, content):
    path = save(content, tmp_path / 'a.pkl')
    path.write_bytes(path.read_bytes()[:100_000])
    assert 'not a readable pickle' in complaint(path)


def _drop_split(c):
    del c['valid']


def _drop_field(c):
    del c['train']['audio']


def _set(split, field, value):
    def change(content):
        content[split][field] = value(content[split][field])

    return change


def _label(value):
    def change(content):
        content['train']['labels'][2] = value

    return change


BROKEN = {
    'missing split': (_drop_split, ["no split 'valid'", 'train, test']),
    'missing field': (_drop_field, ["'train'", "no field 'audio'"]),
    'split is a list': (lambda c: c.update(train=[1]), ["'train'", 'a list']),
    'fewer audio rows': (
        _set('train', 'audio', lambda a: a[:5]),
        ["'train'", "'audio'", '(6, 50, 74)', '(5, 50, 74)'],
    ),
    'wrong width': (_set('test', 'text', lambda a: a[..., :30]), ["'test'", "'text'", '30)']),
    'wrong rank': (_set('test', 'vision', lambda a: a[:, :, 0]), ["'vision'", '(5, 50)']),
    'wrong steps': (_set('test', 'vision', lambda a: a[:, :20]), ["'vision'", '(5, 20, 35)']),
    'objects': (_set('train', 'text', lambda a: a.astype(object)), ["'text'", 'object']),
    'not an array': (_set('train', 'text', lambda a: 'no'), ["'text'", 'a str']),
    'nan label': (_label(np.nan), ["'labels'", 'nan', 'utterance 2']),
    'label out of range': (_label(3.5), ["'labels'", '[-3, 3]', '3.5', 'utterance 2']),
    'two columns of labels': (
        _set('train', 'labels', lambda a: np.hstack([a[..., 0], a[..., 0]])),
        ["'labels'", '(6, 2)'],
    ),
    'empty split': (_set('valid', 'labels', lambda a: a[:0]), ["'valid'", 'empty']),
    'ids are lists': (_set('train', 'id', lambda a: [[i] for i in a]), ["'id'", 'a list']),
    'too few ids': (_set('train', 'id', lambda a: a[:-1]), ["'id'", '6', '5']),
}


@pytest.mark.parametrize('case', BROKEN)
def test_each_broken_file_says_what_is_wrong_and_where(tmp_path, content, case):
    change, expected = BROKEN[case]
    change(content)
    message = complaint(save(content, tmp_path / 'broken.pkl'))
    for part in expected:
        assert part in message


def test_a_file_that_is_no_dict(tmp_path):
    assert 'a list' in complaint(save([1, 2], tmp_path / 'a.pkl'))


def test_a_file_without_raw_text_has_step_numbers_for_words(tmp_path, content):
    for fields in content.values():
        del fields['raw_text']
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.raw_text == ()
    assert split.words(0) == [str(step) for step in range(1, split.lengths[0] + 1)]


def test_words_stand_for_the_true_steps(small_file):
    split = load_split(Path(small_file), 'train')
    assert [len(split.words(i)) for i in range(len(split))] == split.lengths.tolist()
