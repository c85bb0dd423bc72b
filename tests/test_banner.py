"""`data_banner` and `data_caption`: no reader takes a stand-in for CMU-MOSI."""

import pickle

import pytest

from msa_lab.data import data_banner, data_caption
from msa_lab.data.inspection import describe
from msa_lab.data.synthetic import make_standin
from tests.packings import TINY


@pytest.fixture
def file(tmp_path):
    """A function that writes a tiny file whose ids say where it comes from, under any name."""

    def write(origin, name='data.pkl'):
        content = make_standin(**TINY)
        for fields in content.values():
            fields['id'] = [i.replace('synthetic', origin) for i in fields['id']]
        (tmp_path / name).write_bytes(pickle.dumps(content))
        return tmp_path / name

    return write


@pytest.mark.parametrize('name', ['reviews', 'synthetic'])
def test_a_standin_is_named_and_is_not_mosi(file, name):
    path = file(name, 'mosi_raw.pkl')  # whatever the file is called
    banner = data_banner(path, name)
    assert f'替身数据 `{name}`，不是 CMU-MOSI' in banner
    assert '**真实的**' in banner
    assert '**模拟的**' in banner
    assert all(line.startswith('>') for line in banner.splitlines())  # one quoted block
    assert data_caption(path) == f'stand-in "{name}", not CMU-MOSI'
    assert f'the STAND-IN {name}, not CMU-MOSI' in describe(path)


def test_each_banner_says_what_is_real(file):
    assert '标签是五个人打分的平均' in data_banner(file('reviews'))
    assert '真实的**只有文件格式' in data_banner(file('synthetic'))
    for name in ('reviews', 'synthetic'):
        simulated = data_banner(file(name)).split('**模拟的**')[1]
        assert all(word in simulated for word in ('视觉', '语音', '说话人'))


def test_only_who_asked_for_nothing_and_got_synthetic_is_told_how_to_come_to_reviews(file):
    command = 'python -m msa_lab.data.reviews'
    assert command in data_banner(file('synthetic'))
    assert command in data_banner(file('synthetic'), '')
    assert command not in data_banner(file('synthetic'), 'synthetic')
    assert command not in data_banner(file('reviews'), '')


def test_a_file_of_ones_own_is_called_by_its_name(file):
    path = file('v_', 'mine.pkl')
    assert data_banner(path).startswith('> **本次使用你的数据文件** `mine.pkl`。\n>\n')
    assert data_caption(path) == 'mine.pkl'
    assert '替身' not in data_banner(path)
