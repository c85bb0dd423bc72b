"""A small file of the first utterances gives the first rows of what the whole file gives."""

import pickle
import warnings

import numpy as np
import pytest

from msa_lab.data import (
    MODALITIES,
    SPLITS,
    DataError,
    DataWarning,
    first_utterances,
    load_file,
    load_split,
)
from msa_lab.data.synthetic import make_standin
from tests.packings import ALIGNED, TINY, dumps_python2


def _fortran(content):
    """Features in Fortran's order, with other widths of floats and another byte order."""
    for fields in content.values():
        fields['vision'] = np.asfortranarray(fields['vision']).astype('>f8', order='K')
        fields['text'] = np.asfortranarray(fields['text'])
        fields['audio'] = fields['audio'].astype('f2')
    return content


def _objects(content):
    """Ids and sentences in arrays of Python objects, labels without a second axis."""
    for fields in content.values():
        fields['id'] = np.array(fields['id'], dtype=object)
        fields['labels'] = fields['labels'].reshape(-1)
        if 'raw_text' in fields:
            fields['raw_text'] = np.array(fields['raw_text'], dtype=object)
    return content


def _rated(content):
    """Beside the labels stand the scores of seven people, some of them missing."""
    for fields in content.values():
        ratings = np.arange(7 * len(fields['id']), dtype=np.float32).reshape(-1, 7)
        ratings[::2, 5:] = np.nan
        fields['ratings'] = ratings
    return content


def _other_names(content):
    """The validation split under its other name; keys of bytes, as a Python 2 file has them."""
    content['dev'] = content.pop('valid')
    return {
        split.encode(): {name.encode(): value for name, value in fields.items()}
        for split, fields in content.items()
    }


# How a file with bad points may lie on the disk, as bytes.
FILES = {
    **{name: lambda make=make: pickle.dumps(make(), 4) for name, make in ALIGNED.items()},
    **{
        f'{name}, Python 2, protocol 2': lambda make=make: dumps_python2(make(), 2)
        for name, make in ALIGNED.items()
    },
    'stand-in': lambda: pickle.dumps(make_standin(**TINY), 4),
    'ratings': lambda: pickle.dumps(_rated(make_standin(**TINY)), 4),
    'protocol 0': lambda: pickle.dumps(ALIGNED['MulT'](), 0),
    'Fortran order': lambda: pickle.dumps(_fortran(make_standin(**TINY)), 2),
    'Fortran order, protocol 5': lambda: pickle.dumps(_fortran(make_standin(**TINY)), 5),
    'object arrays': lambda: pickle.dumps(_objects(make_standin(**TINY)), 4),
    'object arrays of MulT': lambda: pickle.dumps(_objects(ALIGNED['MulT']()), 4),
    'other names': lambda: pickle.dumps(_other_names(ALIGNED['MultiBench']()), 4),
}


def check_first_rows(path, small, count):
    """The splits of the small file are the first rows of those of the file at `path`."""
    with open(path, 'rb') as file:
        content = pickle.load(file, encoding='latin1')  # made by this test
    for split in SPLITS:
        whole, first = load_split(path, split), load_split(small, split)
        assert len(first) == min(count, len(whole))
        for name in (*MODALITIES, 'labels'):
            rows = getattr(whole, name)[:count]
            np.testing.assert_array_equal(getattr(first, name), rows)
            assert getattr(first, name).dtype == rows.dtype
        assert first.ids == whole.ids[:count]
        assert first.raw_text == whole.raw_text[:count]
        assert (first.ratings is None) == (whole.ratings is None)
        if whole.ratings is not None:
            np.testing.assert_array_equal(first.ratings, whole.ratings[:count])
        np.testing.assert_array_equal(first.lengths, whole.lengths[:count])
        names = {key.decode() if isinstance(key, bytes) else key: key for key in content}
        fields = content[names.get(split, names.get('dev'))]
        fields = {key.decode() if isinstance(key, bytes) else key: fields[key] for key in fields}
        for name in MODALITIES:
            bad = np.count_nonzero(~np.isfinite(fields[name][:count]))
            assert first.repaired[name] == bad
    assert load_file(small).padding_side == load_file(path).padding_side


@pytest.mark.parametrize('count', [3, 100])
@pytest.mark.parametrize('case', FILES)
def test_the_same_arrays_as_from_the_whole_file(tmp_path, case, count):
    path = tmp_path / 'a.pkl'
    path.write_bytes(FILES[case]())
    small = first_utterances(path, count, tmp_path / 'data')
    assert small == tmp_path / 'data' / f'a-first-{count}.pkl'
    check_first_rows(path, small, count)


def test_bad_points_stay_in_the_small_file_and_are_counted_there(small_file, tmp_path):
    counts = [
        load_split(first_utterances(small_file, count, tmp_path), 'train').repaired['audio']
        for count in (20, 60, 97)
    ]
    assert (
        0 < counts[0] < counts[1] < counts[2] == load_split(small_file, 'train').repaired['audio']
    )


@pytest.mark.filterwarnings('ignore::msa_lab.data.DataWarning')  # two faces may be missing
@pytest.mark.parametrize('packing', ALIGNED)
def test_the_first_utterances_do_not_decide_on_which_side_the_padding_is(packing, tmp_path):
    """The first two utterances of every split are padded at the other side than the rest."""
    content = ALIGNED[packing](videos=(2, 2, 2), utterances=(9, 9, 9))
    for fields in content.values():
        for name in MODALITIES:
            fields[name][:2] = fields[name][:2, ::-1]
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content))
    assert load_file(path).padding_side == ('back' if packing == 'MMSA' else 'front')
    check_first_rows(path, first_utterances(path, 2, tmp_path), 2)


def test_full_utterances_show_no_padding(tmp_path):
    content = ALIGNED['MMSA']()
    for fields in content.values():
        for name in MODALITIES:
            fields[name][:2] = 1
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content))
    check_first_rows(path, first_utterances(path, 2, tmp_path), 2)


def test_a_side_that_is_none_is_not_believed(tmp_path):
    content = ALIGNED['MMSA']() | {'padding_side': ['front']}
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content))
    assert load_file(path).padding_side == 'back'


def test_a_warning_is_shown_once_and_only_where_it_holds(tmp_path):
    """Two ids of the training split stand in the test split too, one among the first three."""
    content = make_standin(**TINY)
    train, test = content['train']['id'], content['test']['id']
    test[1], test[4] = train[0], train[5]
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(content))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        small = first_utterances(path, 3, tmp_path)
        for split in SPLITS:
            load_split(small, split)
    assert [str(warning.message) for warning in caught] == [
        f'a-first-3.pkl: 1 ids stand in more than one split, {train[0]}: a leak, test results on '
        f'this file are too good'
    ]
    with pytest.warns(DataWarning, match=r'a\.pkl: 2 ids'):  # the whole file still warns
        load_split(path)


def test_it_is_written_anew_each_time(small_file, tmp_path):
    small = first_utterances(small_file, 5, tmp_path)
    whole = small.read_bytes()
    small.write_bytes(b'damaged')
    assert first_utterances(small_file, 5, tmp_path) == small
    assert small.read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == [small.name]


def test_errors_are_those_of_the_whole_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no data file .*gone\.pkl'):
        first_utterances(tmp_path / 'gone.pkl', 5, tmp_path)
    (tmp_path / 'a.pkl').write_bytes(b'no pickle')
    with pytest.raises(DataError, match=r'a\.pkl: it is no pickle'):
        first_utterances(tmp_path / 'a.pkl', 5, tmp_path)
    with pytest.raises(ValueError, match='count must be at least 1; got 0'):
        first_utterances(tmp_path / 'a.pkl', 0, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ['a.pkl']
