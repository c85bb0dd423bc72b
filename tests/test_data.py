"""Loading a file: what the arrays are, and the one line for each thing that is wrong with it."""

import bz2
import errno
import gzip
import lzma
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from msa_lab.data import (
    MODALITIES,
    SPLITS,
    DataError,
    DataWarning,
    load_split,
    mosi_file,
    padding_mask,
)
from msa_lab.data.inspection import describe, inspect
from msa_lab.data.pickle_reader import read_pickle
from msa_lab.data.synthetic import make_standin
from tests.packings import TINY

ROOT = Path(__file__).parent.parent


@pytest.fixture
def content():
    """The dict of a tiny valid file, for a test to break."""
    return make_standin(**TINY)


def save(content, path, **kwargs):
    path.write_bytes(pickle.dumps(content, **kwargs))
    return path


def error_message(path, split='train'):
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


def test_bad_points_become_zero_and_are_counted(tmp_path, content):
    content['train']['audio'][:] = 1
    content['train']['audio'][0, -1, :3] = np.inf, -np.inf, np.nan
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.repaired == {'vision': 0, 'text': 0, 'audio': 3}
    assert split.audio[0, -1, :4].tolist() == [0, 0, 0, 1]


def test_a_float64_beyond_float32_is_a_bad_point(tmp_path, content):
    content['train']['audio'] = content['train']['audio'].astype(np.float64)
    content['train']['audio'][:] = 1
    content['train']['audio'][0, -1, 0] = 1e300
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.repaired['audio'] == 1
    assert split.audio[0, -1, 0] == 0


def test_the_file_is_opened_once_for_all_splits(tmp_path, content, monkeypatch):
    path = save(content, tmp_path / 'a.pkl')
    opened = []
    monkeypatch.setattr(mosi_file, 'read_pickle', lambda p: opened.append(p) or read_pickle(p))
    splits = [load_split(path, name) for name in (*SPLITS, 'train')]
    assert len(opened) == 1
    assert splits[0].text is splits[3].text


def test_a_changed_file_is_read_again(tmp_path, content):
    path = save(content, tmp_path / 'a.pkl')
    before = load_split(path, 'train').labels.copy()
    content['train']['labels'] = -content['train']['labels']
    save(content, path)
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(load_split(path, 'train').labels, -before)


def test_shared_arrays_cannot_be_changed_by_accident(tmp_path, content):
    content['train']['ratings'] = np.zeros((6, 7), np.float32)
    data = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    for name in ('vision', 'text', 'audio', 'labels', 'ratings'):
        with pytest.raises(ValueError, match='read-only'):
            getattr(data, name)[0] = 1


def test_the_scores_of_single_raters_are_read_with_their_gaps(tmp_path, content):
    ratings = np.arange(6 * 7, dtype=np.float32).reshape(6, 7)
    ratings[2, 5:] = np.nan
    content['train']['ratings'] = ratings
    path = save(content, tmp_path / 'a.pkl')
    np.testing.assert_array_equal(load_split(path, 'train').ratings, ratings)
    assert load_split(path, 'test').ratings is None


@pytest.mark.parametrize(
    'ratings', [np.zeros((5, 7)), np.zeros(6), np.zeros((6, 7), int), [[1.0]] * 6, None, 'none']
)
def test_ratings_of_another_kind_are_left_alone(tmp_path, content, ratings):
    content['train']['ratings'] = ratings
    assert load_split(save(content, tmp_path / 'a.pkl'), 'train').ratings is None


@pytest.mark.parametrize('convert', [np.asarray, torch.from_numpy])
def test_padding_mask_of_arrays_and_of_tensors(convert):
    features = [np.zeros((5, 50, width)) for width in (2, 3, 1)]
    vision, text, audio = features
    text[0, 45] = 1  # zeros after the first word are not padding
    vision[1, 40, 1] = audio[1, 44, 0] = -1  # any modality counts
    text[2, 0] = 1  # no padding at all
    audio[4, 47] = np.nan  # a bad point is not padding
    padding = padding_mask(*map(convert, features))
    assert type(padding) is type(convert(vision))
    assert padding.shape == (5, 50)
    assert str(padding.dtype).endswith('bool')
    true_steps = [5, 10, 50, 1, 3]  # the fourth utterance is all padding and keeps its last step
    assert (~padding).sum(1).tolist() == true_steps
    for row, length in zip(padding.tolist(), true_steps, strict=True):
        assert row == [True] * (50 - length) + [False] * length


def test_the_data_folder_needs_no_torch():
    """A program that only reads or makes files does not wait for the import of torch."""
    names = ('msa_lab.data', 'msa_lab.data.inspection', 'msa_lab.data.reviews.__main__')
    code = f'import sys, {", ".join(names)}; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def test_unknown_split_and_missing_file(small_file, tmp_path):
    with pytest.raises(ValueError, match=r"train, valid, test; got 'dev'"):
        load_split(small_file, 'dev')
    with pytest.raises(FileNotFoundError, match=r'box\.nju\.edu\.cn') as caught:
        load_split(tmp_path / 'mosi_raw.pkl')
    assert 'msa_lab.data.reviews' in str(caught.value)


NO_PICKLE = {
    'empty': (b'', 'is empty (0 bytes): the download failed; download it again'),
    'Git LFS pointer': (
        b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 361000000\n',
        'is a Git LFS pointer, not the file itself: run "git lfs pull" where it comes from, or '
        'download the file from its web page',
    ),
    'web page': (
        b'\xef\xbb\xbf\n<!DOCTYPE html><html lang="zh"><title>Sign in</title></html>',
        'is a web page that was saved in place of the file: open the link in a browser, use the '
        'download button of the page, and check that the size is some 100 MB',
    ),
    'zip': (b'PK\x03\x04abc', 'is a zip archive: unpack it and give the .pkl file inside'),
    'gz': (gzip.compress(b'abc'), 'is compressed (gzip): unpack it and give the .pkl file inside'),
    'xz': (lzma.compress(b'abc'), 'is compressed (xz): unpack it and give the .pkl file inside'),
    'bz2': (bz2.compress(b'abc'), 'is compressed (bzip2): unpack it and give the .pkl file inside'),
    'numpy': (b'\x93NUMPY\x01', 'is a single numpy array: the lab reads a pickle of all splits'),
    'a word': (
        b'garbage',
        "it is no pickle: it begins with b'garbage'; the lab reads a pickle of arrays, "
        'mosi_raw.pkl',
    ),
    'its first two bytes': (
        b'\x80\x04',
        'it is cut off: it ends after 2 bytes in the middle of its content. '
        'Download or copy it again',
    ),
}


@pytest.mark.parametrize('case', NO_PICKLE)
def test_what_is_no_pickle(tmp_path, case):
    raw, line = NO_PICKLE[case]
    path = tmp_path / 'a.pkl'
    path.write_bytes(raw)
    assert error_message(path) == f'a.pkl: {line}'


@pytest.mark.parametrize('share', [0.001, 0.3, 0.9, 0.99999])
def test_a_cut_file_says_where_it_ends(tmp_path, content, share):
    path = save(content, tmp_path / 'a.pkl')
    size = int(share * path.stat().st_size)
    path.write_bytes(path.read_bytes()[:size])
    assert error_message(path) == (
        f'a.pkl: it is cut off: it ends after {size:,} bytes in the middle of its content. '
        f'Download or copy it again'
    )


def test_a_damaged_file_says_where(tmp_path, content):
    path = save(content, tmp_path / 'a.pkl', protocol=4)
    raw = path.read_bytes()
    place = raw.index(b'raw_text') - 2
    path.write_bytes(raw[:place] + b'\xff' + raw[place + 1 :])
    message = error_message(path)
    assert message.startswith(f'a.pkl: it is damaged near byte {place:,} (')
    assert message.endswith('Download or copy it again')


def test_a_folder_and_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    assert error_message(tmp_path).endswith('is a folder: name the file in it')

    def refuse(self, *args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / 'a.pkl').touch()
    monkeypatch.setattr(Path, 'open', refuse)
    assert error_message(tmp_path / 'a.pkl') == 'a.pkl: cannot be read (Permission denied)'


def _drop(split, field=None):
    def change(content):
        del (content[split] if field else content)[field or split]

    return change


def _set(split, field, value):
    def change(content):
        content[split][field] = value(content[split][field])

    return change


def _label(value):
    def change(content):
        content['train']['labels'][2] = value

    return change


def _cut_all(split, stop):
    def change(content):
        content[split] = {name: value[:stop] for name, value in content[split].items()}

    return change


LAYOUT = "{'train': {'vision', 'text', 'audio', 'labels', 'id'}, 'valid': ..., 'test': ...}"
PUBLISHED = 'take mosi_raw.pkl as it was published'
RENAME = f'rename the field that holds it, or {PUBLISHED}'
LEAVE_OUT = f'leave out the same utterances everywhere, or {PUBLISHED}'
CONVERT = 'convert it with np.asarray(x, dtype=np.float32)'

# What is done to a good file, and the line that the user then sees.
BROKEN = {
    'missing split': (
        _drop('valid'),
        f"no split 'valid'; found train, test: the lab needs {LAYOUT}; name the splits so, or "
        f'{PUBLISHED}',
    ),
    'missing field': (
        _drop('train', 'audio'),
        f"split 'train': no field 'audio'; found vision, text, labels, id, raw_text: {RENAME}",
    ),
    'no labels': (
        _drop('test', 'labels'),
        f"split 'test': no field 'labels'; found vision, audio, text, id, raw_text: {RENAME}",
    ),
    'split is a list': (
        lambda c: c.update(train=[1]),
        f"split 'train': expected a dict of arrays, found a list: the lab needs {LAYOUT}",
    ),
    'fewer audio rows': (
        _set('train', 'audio', lambda a: a[:5]),
        "split 'train': expected as many utterances in every field, found 6 in vision, 6 in text, "
        f'5 in audio, 6 in labels: {LEAVE_OUT}',
    ),
    'fewer labels': (
        _set('train', 'labels', lambda a: a[:5]),
        "split 'train': expected as many utterances in every field, found 6 in vision, 6 in text, "
        f'6 in audio, 5 in labels: {LEAVE_OUT}',
    ),
    'wrong rank': (
        _set('test', 'vision', lambda a: a[:, :, 0]),
        "split 'test', field 'vision': expected shape (5, 50, features), found (5, 50): "
        f'{PUBLISHED}',
    ),
    'no features': (
        _set('test', 'vision', lambda a: a[:, :, :0]),
        "split 'test', field 'vision': expected shape (5, 50, features), found (5, 50, 0): "
        f'{PUBLISHED}',
    ),
    'wrong width': (
        _set('test', 'text', lambda a: a[..., :30]),
        "split 'test', field 'text': expected 300 features per step as in the split 'train', "
        'found 30: take all splits from one packing',
    ),
    'wrong steps everywhere': (
        lambda c: c['test'].update({m: c['test'][m][:, :20] for m in MODALITIES}),
        "split 'test': expected 50 steps, found 20 in all three modalities: fill them up with "
        'zeros at the front, np.pad(x, ((0, 0), (30, 0), (0, 0)))',
    ),
    'objects': (
        _set('train', 'text', lambda a: a.astype(object)),
        "split 'train', field 'text': expected an array of floats, found an array of object "
        f'(6, 50, 300): {CONVERT}',
    ),
    'not an array': (
        _set('train', 'text', lambda a: 'no'),
        f"split 'train', field 'text': expected an array of floats, found a str: {CONVERT}",
    ),
    'nan label': (
        _label(np.nan),
        "split 'train', field 'labels': expected numbers in [-3, 3], found nan at utterance 2 "
        '(1 in all): leave these utterances out of every field',
    ),
    'label out of range': (
        _label(3.5),
        "split 'train', field 'labels': expected numbers in [-3, 3], found 3.5 at utterance 2 "
        '(1 in all): rescale the scores, or leave these utterances out of every field',
    ),
    'two columns of labels': (
        _set('train', 'labels', lambda a: np.hstack([a[..., 0], a[..., 0]])),
        "split 'train', field 'labels': expected shape (N,), (N, 1) or (N, 1, 1), found (6, 2): "
        'keep one score in [-3, 3] for each utterance',
    ),
    'empty split': (
        _cut_all('valid', 0),
        f"split 'valid', field 'labels': the split is empty: {PUBLISHED}",
    ),
}


@pytest.mark.parametrize('case', BROKEN)
def test_each_broken_file_says_what_is_wrong_and_where(tmp_path, content, case):
    change, line = BROKEN[case]
    change(content)
    message = error_message(save(content, tmp_path / 'broken.pkl'))
    assert message in (f'broken.pkl: {line}', f'broken.pkl, {line}')


WARNED = {
    'one utterance': (
        _cut_all('valid', 1),
        "split 'valid' has one utterance: no correlation, no mean can be judged",
    ),
    'nothing but padding': (
        lambda c: [c['test'][m].__setitem__([1, 3], 0) for m in MODALITIES],
        "split 'test': 2 utterances of nothing but padding, synthetic004[1], synthetic005[1]: no "
        'model can tell them apart',
    ),
    'a leak': (
        lambda c: c['test'].update(id=[*c['valid']['id'][:2], *c['test']['id'][2:]]),
        '2 ids stand in more than one split, synthetic002[0], synthetic003[0]: a leak, test '
        'results on this file are too good',
    ),
}


@pytest.mark.parametrize('case', WARNED)
def test_what_makes_results_misleading_is_warned_of_once(tmp_path, content, case):
    """The file is read all the same."""
    change, line = WARNED[case]
    change(content)
    path = save(content, tmp_path / 'a.pkl')
    with pytest.warns(DataWarning) as caught:
        [load_split(path, split) for split in SPLITS]
    assert [str(warning.message) for warning in caught] == [f'a.pkl: {line}']
    assert Path(caught[0].filename).name == 'test_data.py'  # where it was asked for
    assert f'warning: {line}' in inspect(path)[0]


def test_an_utterance_of_nothing_but_padding_keeps_its_last_step(tmp_path, content):
    WARNED['nothing but padding'][0](content)
    with pytest.warns(DataWarning):
        split = load_split(save(content, tmp_path / 'a.pkl'), 'test')
    assert split.lengths[[1, 3]].tolist() == [1, 1]


def test_a_good_file_is_read_without_a_warning(tmp_path, content):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        load_split(save(content, tmp_path / 'a.pkl'))


def test_a_file_that_is_no_dict(tmp_path):
    path = save([1, 2], tmp_path / 'a.pkl')
    assert error_message(path) == (
        f'a.pkl: expected a dict of splits, found a list: build {LAYOUT} of it, or {PUBLISHED}'
    )


def test_a_file_that_is_not_the_standin_is_not_called_so(tmp_path, content):
    for fields in content.values():
        fields['id'] = [name.replace('synthetic', 'video') for name in fields['id']]
    path = save(content, tmp_path / 'a.pkl')
    assert load_split(path, 'train').standin == ''
    assert 'STAND-IN' not in describe(path)


def test_a_file_without_raw_text_has_step_numbers_for_words(tmp_path, content):
    for fields in content.values():
        del fields['raw_text']
    split = load_split(save(content, tmp_path / 'a.pkl'), 'train')
    assert split.raw_text == ()
    assert split.words(0) == [str(step) for step in range(1, split.lengths[0] + 1)]


def test_words_stand_for_the_true_steps(small_file):
    split = load_split(Path(small_file), 'train')
    assert [len(split.words(i)) for i in range(len(split))] == split.lengths.tolist()
