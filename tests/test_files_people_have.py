"""Files that people really have: what can be used is used, what cannot says what to do.

Each line that the lab says here stands in the table of docs/data.md too.
"""

import io
import pickle
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import msa_utils
from msa_lab.data import DataError, DataWarning, load_file, load_split
from msa_lab.data.banner import data_banner
from msa_lab.data.command_line import command_line
from msa_lab.data.inspection import inspect
from msa_lab.data.synthetic import make_standin
from tests.packings import TINY, mmsa, mult, multibench

ROOT = Path(__file__).parent.parent
MANY = dict(videos=(3, 3, 3), utterances=(20, 12, 12))
MODALITIES = ('vision', 'text', 'audio')


def save(content, path):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 4))
    return path


def in_table(line):
    """Whether a message is in the table of docs/data.md, where numbers stand as N."""
    table = re.sub(r'\s+', ' ', (ROOT / 'docs' / 'data.md').read_text(encoding='utf-8'))
    return re.sub(r'\s+', ' ', line) in table


def each(content, field, change):
    for fields in content.values():
        fields[field] = change(fields[field])
    return content


def renamed(content, old, new):
    content[new] = content.pop(old)
    return content


# ---- What can be used is used: the same arrays as from the plain file.
USABLE = {
    'labels in a list': lambda c: each(c, 'labels', lambda x: x.reshape(-1).tolist()),
    'labels in lists of one': lambda c: each(c, 'labels', lambda x: x.reshape(-1, 1).tolist()),
    'labels as numpy scalars': lambda c: each(c, 'labels', lambda x: list(x.reshape(-1))),
    'labels in an array of objects': lambda c: each(
        c, 'labels', lambda x: np.array(x.reshape(-1).tolist(), dtype=object)
    ),
    'labels as arrays of one': lambda c: each(c, 'labels', lambda x: list(x.reshape(-1, 1))),
    'features in a list of arrays': lambda c: each(c, 'audio', list),
    'a split called validation': lambda c: renamed(c, 'valid', 'validation'),
    'no sentences': lambda c: each(c, 'raw_text', lambda x: None),
}


@pytest.mark.parametrize('case', USABLE)
def test_what_can_be_used_is_used(tmp_path, case):
    plain = load_file(save(make_standin(**TINY), tmp_path / 'plain.pkl'))
    path = save(USABLE[case](make_standin(**TINY)), tmp_path / 'a.pkl')
    for name, expected in plain.splits.items():
        data = load_split(path, name)
        for field in (*MODALITIES, 'labels'):
            np.testing.assert_array_equal(getattr(data, field), getattr(expected, field))
        assert data.ids == expected.ids
        assert data.raw_text == (() if case == 'no sentences' else expected.raw_text)


WORDS = {
    'lists': lambda sentence: sentence.split(),
    'arrays': lambda sentence: np.array(sentence.split()),
    'arrays of bytes': lambda sentence: np.array([w.encode() for w in sentence.split()]),
    'arrays of objects': lambda sentence: np.array(sentence.split(), dtype=object),
}


@pytest.mark.parametrize('kind', WORDS)
@pytest.mark.parametrize('count', [0, 1, 3, 9])
def test_words_in_a_list_are_a_sentence(tmp_path, kind, count):
    """Three words too, which are no video with brackets."""
    sentence = ' '.join('one two three four five six seven eight nine'.split()[:count])
    content = make_standin(**TINY)
    content['train']['raw_text'] = [WORDS[kind](sentence)] * 6
    assert load_split(save(content, tmp_path / 'a.pkl')).raw_text == (sentence,) * 6


# ---- An optional field never costs the file.
OPTIONAL = {
    'id is None': (
        lambda fields: fields.update(id=None),
        "split 'train' has no ids: every utterance counts as a speaker of its own",
    ),
    'no id': (
        lambda fields: fields.pop('id'),
        "split 'train' has no ids: every utterance counts as a speaker of its own",
    ),
    'too few ids': (
        lambda fields: fields.update(id=fields['id'][:-1]),
        "split 'train', field 'id': expected 6 strings, found 5: not used, every utterance counts "
        'as a speaker of its own',
    ),
    'ids are dicts': (
        lambda fields: fields.update(id=[{}] * 6),
        "split 'train', field 'id': expected strings, found a dict: not used, every utterance "
        'counts as a speaker of its own',
    ),
    'too few sentences': (
        lambda fields: fields.update(raw_text=['a']),
        "split 'train', field 'raw_text': expected 6 strings, found 1: not used, step numbers "
        'stand for words',
    ),
}


@pytest.mark.parametrize('case', OPTIONAL)
def test_an_optional_field_never_costs_the_file(tmp_path, case):
    change, line = OPTIONAL[case]
    content = make_standin(**TINY)
    change(content['train'])
    with pytest.warns(DataWarning) as caught:
        data = load_split(save(content, tmp_path / 'a.pkl'))
    assert [str(w.message) for w in caught] == [f'a.pkl: {line}']
    assert in_table(line)
    assert len(set(data.videos)) == (2 if 'sentences' in case else 6)
    assert data.words(0)


# ---- What makes results doubtful is said.
def without_pauses(content):
    """As MultiBench writes it: the pause is left out of the text alone, then all are padded."""
    for fields in content.values():
        text = fields['text']
        for row in range(0, len(text), 2):
            filled = np.flatnonzero(fields['audio'][row].any(1))
            pause = filled[len(filled) // 2]
            text[row, 1 : pause + 1] = text[row, :pause].copy()
    return content


def classes(*values):
    return lambda c: each(c, 'labels', lambda x: np.resize(np.float32(values), x.shape))


def one_label(content):
    content['valid']['labels'][:] = 1
    return content


def zero(content):
    content['test']['audio'][:] = 0
    return content


def not_finite(content):
    content['train']['vision'][:] = np.nan
    return content


DOUBTFUL = {
    'two classes': (
        classes(0, 1),
        'the labels take no value but 0, 1: classes, not scores from -3 to 3; MAE and Corr mean '
        'little, and an accuracy may be perfect',
    ),
    'three classes': (
        classes(-1, 0, 1),
        'the labels take no value but -1, 0, 1: classes, not scores from -3 to 3; MAE and Corr '
        'mean little, and an accuracy may be perfect',
    ),
    'one label everywhere': (
        classes(0.5),
        'the labels take no value but 0.5: classes, not scores from -3 to 3; MAE and Corr mean '
        'little, and an accuracy may be perfect',
    ),
    'one label in a split': (one_label, "split 'valid': all labels are 1: no Corr can be had"),
    'a modality of zeros in one split': (
        zero,
        "split 'test': audio is zero in every utterance (or was not finite): no model can learn "
        'from it',
    ),
    'a modality that is not finite': (
        not_finite,
        "split 'train': vision is zero in every utterance (or was not finite): no model can learn "
        'from it',
    ),
    'pauses left out of the text alone': (
        without_pauses,
        'the audio begins at another step than the text in 49% of the utterances (pauses were '
        'left out of the text alone?): there, step t of the text and of the audio belong to '
        'different words',
    ),
}


@pytest.mark.parametrize('case', DOUBTFUL)
def test_what_makes_results_doubtful_is_said_once(tmp_path, case):
    change, line = DOUBTFUL[case]
    path = save(change(make_standin(**MANY)), tmp_path / 'a.pkl')
    with pytest.warns(DataWarning) as caught:
        [load_split(path, split) for split in ('train', 'valid', 'test')]
    assert [str(w.message) for w in caught] == [f'a.pkl: {line}']
    assert in_table(line)
    assert f'warning: {line}' in inspect(path)[0]


def test_how_well_the_steps_are_aligned_is_measured_and_said(tmp_path):
    content = without_pauses(multibench(**MANY))
    path = save(content, tmp_path / 'a.pkl')
    with pytest.warns(DataWarning, match='in 49% of the utterances'):
        banner = data_banner(path)
    assert '文本与语音从同一步开始的句子占 51%' in banner
    assert 'begins at the first step of the text in 51% of the utterances' in inspect(path)[0]
    aligned = save(multibench(**MANY), tmp_path / 'b.pkl')
    assert 'begins at the first step of the text in 100% of the utterances' in inspect(aligned)[0]
    assert '占 100%' in data_banner(aligned)


def test_an_utterance_of_60_words_may_be_cut_at_two_ends(tmp_path):
    """Its text has words 1 to 50, its voice 11 to 60: nothing in the file can show it."""
    content = make_standin(**TINY)
    for name in MODALITIES:
        content['train'][name][0] = 1
    report, usable = inspect(save(content, tmp_path / 'a.pkl'))
    assert usable
    assert '1 fill all 50 steps and may have been cut, each modality at another end' in report


# ---- MMSA's aligned_50.pkl: BERT fills padded steps.
def bert(mask=True, **settings):
    """MMSA's packing with vectors on all steps of the text, padded at the back."""
    content = mmsa(**settings or TINY)
    generator = np.random.default_rng(0)
    for fields in content.values():
        filled = fields['vision'].any(-1) | fields['text'].any(-1) | fields['audio'].any(-1)
        length = 50 - filled[:, ::-1].argmax(1)
        fields['text'] = generator.normal(size=fields['text'].shape).astype('f4')
        token = np.arange(50) < length[:, None]
        fields['text_bert'][:, 1] = token
        fields['length'] = length
        if not mask:
            del fields['text_bert']
            for name in ('vision', 'audio'):
                fields[name][..., 0] += token
    return content


@pytest.mark.filterwarnings('ignore::msa_lab.data.DataWarning')
@pytest.mark.parametrize('mask', [True, False])
def test_the_lengths_of_a_file_that_bert_filled(tmp_path, mask):
    content = bert(mask)
    data = load_split(save(content, tmp_path / 'a.pkl'))
    assert data.lengths.tolist() == content['train']['length'].tolist()
    assert data.lengths.mean() < 50
    for row, length in enumerate(data.lengths):
        stored = content['train']['text'][row, :length]
        np.testing.assert_array_equal(data.text[row, 50 - length :], stored)
        assert not data.text[row, : 50 - length].any()


def test_one_line_says_that_padding_was_set_to_zero(tmp_path):
    with pytest.warns(DataWarning) as caught:
        load_split(save(bert(), tmp_path / 'a.pkl'))
    lines = [str(w.message) for w in caught]
    assert len(lines) == 1
    assert 'is not zero where they are padded, as BERT leaves it' in lines[0]
    assert in_table('is not zero where they are padded, as BERT leaves it')


@pytest.mark.filterwarnings('ignore::msa_lab.data.DataWarning')
def test_what_lay_on_padded_steps_does_not_change_a_score(tmp_path):
    scores = []
    for factor in (1, -7):
        content = bert()
        for fields in content.values():
            padding = np.arange(50) >= fields['length'][:, None]
            fields['text'][padding] *= factor
        path = save(content, tmp_path / f'{factor}.pkl')
        torch.manual_seed(0)
        model = msa_utils.ImprovedSentimentModel(**msa_utils.feature_dims(path)).eval()
        *features, _ = next(iter(msa_utils.make_loader(path, 'test')))
        scores.append(model(*features))
    assert torch.equal(*scores)


# ---- Packings are told by widths, videos by ids.
def test_a_packing_is_recognised_by_its_widths_too(tmp_path):
    content = multibench()
    for fields in content.values():
        names = [name.rstrip(']').split('[') for name in fields['id']]
        fields['id'] = np.array([(video, k, k) for video, k in names])
    assert load_file(save(content, tmp_path / 'a.pkl')).packing.startswith('MultiBench')
    wide = each(content, 'vision', lambda x: np.resize(x, (*x.shape[:2], 713)))
    assert load_file(save(wide, tmp_path / 'b.pkl')).packing == 'no packing that is known by name'


def test_the_videos_of_mult_s_ids(tmp_path):
    """`VIDEO_3` alone, or as the first of three parts; a video's own name may have a `_`."""
    content = mult()
    for fields in content.values():
        fields['id'] = [f'a_{row // 3}_{row}' for row in range(len(fields['id']))]
    path = save(content, tmp_path / 'a.pkl')
    with pytest.warns(DataWarning, match='more than one split'):
        assert load_split(path).videos == ('a_0',) * 3 + ('a_1',) * 3
    assert '6 utterances of 2 videos' in inspect(path)[0]
    for fields in content.values():
        fields['id'] = [(name, '1.5', '2.5') for name in fields['id']]
    with pytest.warns(DataWarning, match='more than one split'):
        assert load_split(save(content, tmp_path / 'b.pkl')).videos == ('a_0',) * 3 + ('a_1',) * 3


# ---- The fields and splits of a message are those of the file.
def wrong_regression_label():
    content = mmsa()
    content['test']['regression_labels'][1] = 5
    return content


def wrong_dev():
    content = renamed(multibench(), 'valid', 'dev')
    content['dev']['labels'][0] = 9
    return content


def mosei_labels():
    return each(mult(), 'labels', lambda x: np.repeat(x.reshape(-1, 1, 1), 7, axis=2))


def steps(count):
    def make():
        content = multibench()
        for name in MODALITIES:
            each(content, name, lambda x: np.resize(x, (len(x), count, x.shape[2])))
        return content

    return make


def segments():
    one = ((['a', 'b'], np.zeros((2, 47)), np.zeros((2, 74))), np.ones((1, 1)), 'video[0]')
    return {'train': [one], 'dev': [one], 'test': [one]}


def ragged():
    return each(multibench(), 'audio', lambda x: [row[: 9 + k] for k, row in enumerate(x)])


LAYOUT = "{'train': {'vision', 'text', 'audio', 'labels', 'id'}, 'valid': ..., 'test': ...}"
REFUSED = {
    'a label of another name': (
        wrong_regression_label,
        "a.pkl, split 'test', field 'regression_labels': expected numbers in [-3, 3], found 5.0 at "
        'utterance 1 (1 in all): rescale the scores, or leave these utterances out of every field',
    ),
    'a split of another name': (
        wrong_dev,
        "a.pkl, split 'dev', field 'labels': expected numbers in [-3, 3], found 9.0 at utterance 0 "
        '(1 in all): rescale the scores, or leave these utterances out of every field',
    ),
    'the labels of MOSEI': (
        mosei_labels,
        "a.pkl, split 'train', field 'labels': expected shape (N,), (N, 1) or (N, 1, 1), found "
        '(6, 1, 7): the seven columns of CMU-MOSEI, of which sentiment is the first: keep '
        'x[..., :1]',
    ),
    '20 steps': (
        steps(20),
        "a.pkl, split 'train': expected 50 steps, found 20 in all three modalities: fill them up "
        'with zeros at the front, np.pad(x, ((0, 0), (30, 0), (0, 0)))',
    ),
    '60 steps': (
        steps(60),
        "a.pkl, split 'train': expected 50 steps, found 60 in all three modalities: keep the last "
        '50 of an utterance that is padded at the front, x[:, -50:]',
    ),
    'the lists of MAG-BERT and MISA': (
        segments,
        "a.pkl, split 'train': a list of ((words, visual, acoustic), label, segment), as MAG-BERT "
        'and MISA read it: its words have no vectors and its steps no padding; take an aligned '
        'file of arrays in its place, mosi_raw.pkl',
    ),
    'arrays of different lengths': (
        ragged,
        "a.pkl, split 'train', field 'audio': expected an array of floats, found a list: "
        'utterances of 9 to 14 steps: fill each up with zeros at the front to 50 steps',
    ),
    'no splits': (
        lambda: multibench()['train'],
        "a.pkl: no split 'train', 'valid', 'test'; found vision, audio, text, labels, id: the lab "
        f'needs {LAYOUT}; name the splits so, or take mosi_raw.pkl as it was published',
    ),
}


def torch_file():
    file = io.BytesIO()
    torch.save({'train': torch.zeros(2)}, file)
    return file.getvalue()


def old_torch_file():
    file = io.BytesIO()
    torch.save({'train': torch.zeros(2)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, train=np.zeros(3))
    return file.getvalue()


def spreadsheet():
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('[Content_Types].xml', '<Types/>')
    return file.getvalue()


def joblib_file(compress=0):
    import joblib

    file = io.BytesIO()
    joblib.dump(make_standin(**TINY), file, compress=compress)
    return file.getvalue()


AGAIN = 'where you trust {}, open it with {} and write a plain dict of arrays with pickle.dump'
FROM_TORCH = (
    'a.pkl: was written by torch.save: where you trust it, open it with torch.load, turn its '
    'tensors into arrays with x.numpy() and write a plain dict of arrays with pickle.dump'
)
PANDAS = 'refused: pandas.core.frame.DataFrame'
REFUSED |= {
    'torch.save': (torch_file, FROM_TORCH),
    'torch.save of long ago': (old_torch_file, FROM_TORCH),
    'np.savez': (
        npz,
        'a.pkl: is an .npz file of numpy: open it with np.load and write a plain dict of arrays '
        'with pickle.dump',
    ),
    'a spreadsheet': (
        spreadsheet,
        'a.pkl: is a table of a spreadsheet program: the lab reads a pickle of arrays, '
        'mosi_raw.pkl',
    ),
    'joblib': (
        joblib_file,
        'a.pkl: refused: joblib.numpy_pickle.NumpyArrayWrapper, which a file of arrays does not '
        'need; nothing was executed. It was written by joblib; open it with joblib.load where you '
        'trust the file, and write a plain dict of arrays with pickle.dump',
    ),
    'joblib, compressed': (
        lambda: joblib_file(3),
        'a.pkl: is compressed (zlib), as joblib.dump does it: where you trust it, open it with '
        'joblib.load and write a plain dict of arrays with pickle.dump',
    ),
    'zlib': (
        lambda: zlib.compress(b'abc' * 99),
        'a.pkl: is compressed (zlib), as joblib.dump does it: where you trust it, open it with '
        'joblib.load and write a plain dict of arrays with pickle.dump',
    ),
    'torch tensors in a pickle': (
        lambda: {'train': torch.zeros(2)},
        'a.pkl: refused: torch._utils._rebuild_tensor_v2, which a file of arrays does not need; '
        'nothing was executed. It holds torch tensors; turn each into an array with x.numpy() '
        'where you trust the file, and write a plain dict of arrays with pickle.dump',
    ),
    'pandas tables in a pickle': (
        lambda: {'train': pd.DataFrame({'labels': [1.0]})},
        'a.pkl: refused: pandas.core.frame.DataFrame, which a file of arrays does not need; '
        'nothing was executed. It holds pandas tables; turn each into an array with x.to_numpy() '
        'where you trust the file, and write a plain dict of arrays with pickle.dump',
    ),
    'line ends that were changed': (
        lambda: pickle.dumps(multibench(), 4).replace(b'\n', b'\r\n'),
        'a.pkl: its line ends were changed (each LF became CR LF), so its content is damaged: it '
        'was sent as text; download or copy it again as a binary file',
    ),
    'line ends of protocol 0': (
        lambda: pickle.dumps({'train': [1, 2]}, 0).replace(b'\n', b'\r\n'),
        'a.pkl: its line ends were changed (each LF became CR LF), so its content is damaged: it '
        'was sent as text; download or copy it again as a binary file',
    ),
    'label.csv': (
        lambda: b'video_id,clip_id,text,label\nv,1,"well, yes",1.2\n',
        'a.pkl: is a table in text form: labels and sentences alone cannot be learned from here; '
        'the lab reads a pickle of arrays, mosi_raw.pkl',
    ),
    'label.csv of Windows': (
        lambda: b'\xef\xbb\xbfvideo_id;label\r\nv;1.2\r\n',
        'a.pkl: is a table in text form: labels and sentences alone cannot be learned from here; '
        'the lab reads a pickle of arrays, mosi_raw.pkl',
    ),
    'zeros': (
        lambda: bytes(4096),
        'a.pkl: begins with zero bytes alone: the download did not come; download it again',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_cannot_be_used_says_what_to_do(tmp_path, case):
    make, line = REFUSED[case]
    path = save(make(), tmp_path / 'a.pkl')
    with pytest.raises(DataError) as caught:
        load_split(path)
    # pandas 3 has another name for its class
    assert str(caught.value).replace('refused: pandas.DataFrame', PANDAS) == line
    assert in_table(line.removeprefix('a.pkl').lstrip(':, '))
    assert inspect(path)[1] is False


def test_a_folder_is_called_a_folder(tmp_path):
    assert inspect(tmp_path) == (f'error: {tmp_path} is a folder: name a file in it', False)


def test_nothing_is_printed_before_an_error(tmp_path, capsys):
    path = save(wrong_dev(), tmp_path / 'a.pkl')
    assert command_line([str(path)], msa_utils.main).startswith("error: a.pkl, split 'dev'")
    assert capsys.readouterr() == ('', '')
