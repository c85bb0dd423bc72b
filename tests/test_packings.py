"""Every public packing of MOSI is read by the same functions, at its own feature widths."""

import itertools
import pickle

import numpy as np
import pytest

import msa_utils
from msa_lab.data import DataError, feature_dims, first_utterances, load_file, load_split
from msa_lab.data.inspection import inspect
from msa_lab.data.structure import SPELLINGS
from msa_lab.data.synthetic import make_standin
from msa_lab.models import AMP, MISA, TFN
from tests.packings import ALIGNED, TINY, UNALIGNED, dumps_python2, mmsa, mult, multibench

WIDTHS = {'MultiBench': (35, 300, 74), 'MulT': (20, 300, 5), 'MMSA': (20, 768, 5)}
IDS = {'MultiBench': 'v_x-000[0]', 'MulT': 'v000[0.5-09.25]', 'MMSA': 'v000$_$0'}


def save(content, path, **kwargs):
    path.write_bytes(pickle.dumps(content, **kwargs))
    return path


@pytest.fixture(params=ALIGNED)
def packing(request):
    return request.param


@pytest.fixture
def file(packing, tmp_path):
    return save(ALIGNED[packing](), tmp_path / 'a.pkl')


def test_recognised_by_content_and_read_at_its_own_widths(packing, file):
    assert load_file(file).packing.startswith(packing)
    for split, count in zip(('train', 'valid', 'test'), TINY['utterances'], strict=True):
        dataset = msa_utils.MOSIDataset(file, split)
        arrays = (dataset.vision, dataset.text, dataset.audio)
        assert [x.shape for x in arrays] == [(count, 50, width) for width in WIDTHS[packing]]
        assert {x.dtype for x in (*arrays, dataset.labels)} == {np.dtype('f4')}
        assert len(dataset.ids) == dataset.labels.size == count
        assert all(np.isfinite(x).all() for x in arrays)
    assert load_split(file, 'train').ids[0] == IDS[packing]
    assert load_split(file, 'train').standin == ''


def test_videos_are_told_apart_whatever_an_id_looks_like(packing, file):
    videos = load_split(file, 'train').videos
    assert len(set(videos)) == 2
    assert not any(mark in video for video in videos for mark in '[$]')


def test_features_and_labels_are_those_of_the_file(packing, file):
    content, data = ALIGNED[packing](), load_split(file, 'test')
    fields = content['test']
    labels = fields.get('labels', fields.get('regression_labels')).reshape(-1)
    np.testing.assert_array_equal(data.labels, labels.astype(np.float32))
    for name in ('vision', 'text', 'audio'):
        stored = np.nan_to_num(fields[name].astype(np.float32), nan=0, posinf=0, neginf=0)
        for i, length in enumerate(data.lengths):
            begin = 0 if packing == 'MMSA' else 50 - length
            np.testing.assert_array_equal(
                getattr(data, name)[i, -length:], stored[i, begin : begin + length]
            )


def test_padding_ends_up_at_the_front(packing, file):
    data = load_split(file, 'train')
    assert load_file(file).padding_side == ('back' if packing == 'MMSA' else 'front')
    for i, length in enumerate(data.lengths):
        assert not any(x[i, : 50 - length].any() for x in (data.vision, data.text, data.audio))
        assert any(x[i, -1].any() for x in (data.vision, data.text, data.audio))
    assert 1 < data.lengths.mean() < 50


def test_one_utterance_padded_at_the_other_side_does_not_turn_the_file(tmp_path):
    content = multibench()
    fields = content['train']
    for name in ('vision', 'text', 'audio'):
        fields[name][0] = 0
        fields[name][0, :3] = 1
    file = save(content, tmp_path / 'a.pkl')
    assert load_file(file).padding_side == 'front'
    assert load_split(file, 'train').lengths[0] == 50


@pytest.mark.parametrize(
    'model',
    [
        msa_utils.MultimodalSentimentAnalysisModel,
        msa_utils.AblationModel,
        msa_utils.ImprovedSentimentModel,
        TFN,
        MISA,
        AMP,
    ],
)
def test_the_widths_of_the_file_are_carried_to_every_model(packing, file, model):
    features = next(iter(msa_utils.make_loader(file, 'train')))[:3]
    assert model(**feature_dims(file))(*features).shape == (6, 1)


def test_main_trains_on_it(packing, file, workdir):
    model, history, metrics = msa_utils.main(file, epochs=1)
    assert model.text_fc.in_features == WIDTHS[packing][1]
    assert len(history) == 1
    assert list(metrics) == list(msa_utils.METRICS)


def test_standard_widths_need_no_keywords(small_file):
    assert feature_dims(small_file) == {}


@pytest.mark.parametrize('name', ['dev', 'val'])
def test_other_names_of_the_validation_split(tmp_path, name):
    content = multibench()
    content[name] = content.pop('valid')
    assert len(load_split(save(content, tmp_path / 'a.pkl'), 'valid')) == 4


def test_a_new_spelling_is_one_entry_of_the_table(tmp_path, monkeypatch):
    """As CONTRIBUTING says: of a modality, of the ids, and of a field that may be missing."""
    spelled = {'vision': 'visual', 'id': 'segments', 'raw_text': 'sentences'}
    content = make_standin(**TINY)
    expected = {split: fields['vision'] for split, fields in content.items()}
    renamed = {
        split: {spelled.get(name, name): value for name, value in fields.items()}
        for split, fields in content.items()
    }
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(renamed))
    for name, other in spelled.items():
        monkeypatch.setitem(SPELLINGS, name, (name, other))
    for file in (path, first_utterances(path, 5, tmp_path)):
        data = load_split(file, 'test')
        np.testing.assert_array_equal(data.vision, expected['test'][: len(data)])
        assert data.ids == tuple(content['test']['id'][: len(data)])
        assert data.raw_text == tuple(content['test']['raw_text'][: len(data)])


@pytest.mark.parametrize('dtype', [np.float16, np.float32, np.float64, '>f4', '>f8'])
@pytest.mark.parametrize('shape', [(-1,), (-1, 1), (-1, 1, 1)])
def test_every_float_and_every_rank_of_labels(tmp_path, dtype, shape):
    content = multibench()
    for fields in content.values():
        for name in ('vision', 'text', 'audio', 'labels'):
            fields[name] = fields[name].astype(dtype)
        fields['labels'] = fields['labels'].reshape(shape)
    data = load_split(save(content, tmp_path / 'a.pkl'), 'valid')
    np.testing.assert_array_equal(data.text, content['valid']['text'].astype(np.float32))
    assert data.labels.shape == (4,)


def test_integer_labels(tmp_path):
    content = multibench()
    for fields in content.values():
        fields['labels'] = np.round(fields['labels']).astype(int)
    assert load_split(save(content, tmp_path / 'a.pkl')).labels.dtype == np.float32


@pytest.mark.parametrize('protocol', range(6))
def test_every_protocol_of_python_3(packing, file, tmp_path, protocol):
    other = save(ALIGNED[packing](), tmp_path / 'b.pkl', protocol=protocol)
    for split in ('train', 'valid', 'test'):
        a, b = load_split(file, split), load_split(other, split)
        assert a.ids == b.ids
        np.testing.assert_array_equal(a.text, b.text)


@pytest.mark.parametrize(('name', 'protocol'), [*itertools.product(ALIGNED, range(3))])
def test_files_that_python_2_wrote(tmp_path, name, protocol):
    content = ALIGNED[name]()
    path = tmp_path / 'python2.pkl'
    path.write_bytes(dumps_python2(content, protocol))
    assert b'numpy.core' in path.read_bytes()[:400]
    data = load_split(path, 'train')
    whole = load_split(save(content, tmp_path / 'b.pkl'), 'train')
    assert data.ids == whole.ids
    assert data.raw_text == whole.raw_text
    np.testing.assert_array_equal(data.vision, whole.vision)
    np.testing.assert_array_equal(data.labels, whole.labels)


def test_python_2_text_is_utf_8(tmp_path):
    content = mmsa()
    content['train']['raw_text'][0] = 'café 好'
    path = tmp_path / 'a.pkl'
    path.write_bytes(dumps_python2(content, 2))
    assert load_split(path).raw_text[0] == 'café 好'


def test_keys_that_are_bytes(tmp_path):
    """A Python 2 file that was opened with encoding='bytes' and saved again."""
    content = {
        split.encode(): {name.encode(): value for name, value in fields.items()}
        for split, fields in multibench().items()
    }
    assert len(load_split(save(content, tmp_path / 'a.pkl'))) == 6


def test_arrays_in_fortran_order(tmp_path):
    content, plain = multibench(), multibench()
    for fields in content.values():
        fields['text'] = np.asfortranarray(fields['text'])
    for protocol in (2, 5):
        data = load_split(save(content, tmp_path / f'{protocol}.pkl', protocol=protocol))
        np.testing.assert_array_equal(data.text, plain['train']['text'].astype(np.float32))
        assert data.text.flags.c_contiguous


@pytest.mark.parametrize('rows', [list, tuple, np.array, lambda r: np.array(r, dtype=object)])
def test_ids_of_three_parts_in_any_container(tmp_path, rows):
    content = mult()
    for fields in content.values():
        fields['id'] = rows([tuple(row) for row in fields['id'].tolist()])
    path = save(content, tmp_path / 'a.pkl')
    assert load_split(path).ids[0] == IDS['MulT']
    assert load_file(path).packing.startswith('MulT')


@pytest.mark.parametrize('name', UNALIGNED)
def test_an_unaligned_file_is_refused_with_the_name_of_the_one_that_is_needed(tmp_path, name):
    path = save(UNALIGNED[name](), tmp_path / 'a.pkl')
    with pytest.raises(DataError) as caught:
        load_split(path)
    message = str(caught.value)
    assert 'a.pkl' in message
    assert '500 of vision, 50 of text, 375 of audio' in message
    assert 'mosi_data.pkl (not mosi_data_noalign.pkl)' in message
    assert 'aligned_50.pkl (not unaligned_50.pkl)' in message
    assert '\n' not in message


def test_words_fall_back_to_step_numbers_where_tokens_are_not_words(tmp_path):
    content = mmsa()
    content['train']['raw_text'][0] = 'one two'
    data = load_split(save(content, tmp_path / 'a.pkl'))
    assert data.lengths[0] != 2
    assert data.words(0)[:2] == ['1', '2']
    assert data.sentence(0) == 'one two'


def test_the_report_says_what_a_file_is(packing, file):
    report, usable = inspect(file)
    assert usable
    assert f'packing: {packing}' in report
    assert f'text {WIDTHS[packing][1]}' in report
    assert f'padding: at the {"back" if packing == "MMSA" else "front"}' in report
    assert 'bad points set to 0' in report
    for split, count in zip(('train', 'valid', 'test'), TINY['utterances'], strict=True):
        assert f"'{split}':" in report
        assert f'{split}: ' in report
        assert f'({count}, 50, {WIDTHS[packing][0]})' in report
        (counts,) = (
            line.split()[1:] for line in report.splitlines() if line.strip().startswith(f'{split} ')
        )
        assert sum(map(int, counts)) == count  # the histogram of the labels


@pytest.mark.parametrize('name', UNALIGNED)
def test_the_report_on_a_file_that_cannot_be_used(tmp_path, name):
    report, usable = inspect(save(UNALIGNED[name](), tmp_path / 'a.pkl'))
    assert not usable
    assert 'float32 (6, 500, 20)' in report
    assert 'The lab cannot use this file: a.pkl' in report
