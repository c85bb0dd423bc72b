"""`ensure_data`: which file the lab runs on, and what it says when that is not the one expected."""

import os
import shutil
from pathlib import Path

import pytest

from msa_lab.data import DataError, ensure_data, load_split
from msa_lab.data.reviews import ARCHIVE, REVIEWS_PATH, build
from msa_lab.data.synthetic import SYNTHETIC_PATH, write_standin
from tests.made_up_source import make_archive, make_lines, make_snippets, place_archive
from tests.packings import TINY

WORDS = Path('data/reviews-words.npz')


@pytest.fixture(autouse=True)
def tiny(workdir, monkeypatch):
    """An empty folder in which both stand-ins are tiny; no test may start pip."""
    monkeypatch.setattr('subprocess.run', None)
    monkeypatch.setattr(
        'msa_lab.data.synthetic.write_standin', lambda path: write_standin(path, **TINY)
    )
    monkeypatch.setattr(build, 'Settings', lambda: SETTINGS)


SETTINGS = build.Settings(**TINY)


@pytest.fixture
def sentences(monkeypatch):
    """The archive is there."""
    place_archive(monkeypatch, make_archive(*make_lines(make_snippets())))


def test_without_any_file_it_is_reviews_and_nothing_is_said(sentences, capsys):
    assert ensure_data() == ensure_data('') == ensure_data('reviews') == REVIEWS_PATH
    assert load_split(REVIEWS_PATH).standin == 'reviews'
    assert sorted(os.listdir('data')) == sorted([ARCHIVE.name, REVIEWS_PATH.name, WORDS.name])
    assert capsys.readouterr().out == ''


def test_without_the_sentences_it_is_synthetic_and_one_line_says_why(capsys):
    assert ensure_data() == SYNTHETIC_PATH
    (line,) = capsys.readouterr().out.splitlines()
    assert f'no {ARCHIVE}: "python -m msa_lab.data.reviews" fetches it' in line
    assert 'runs on the stand-in "synthetic"' in line
    assert os.listdir('data') == [SYNTHETIC_PATH.name]


def test_with_a_damaged_archive_it_is_synthetic_and_one_line_says_why(sentences, capsys):
    ARCHIVE.write_bytes(b'<html>')
    assert ensure_data() == SYNTHETIC_PATH
    (line,) = capsys.readouterr().out.splitlines()
    assert f'{ARCHIVE}: is a web page' in line


def test_reviews_that_was_asked_for_is_an_error_without_the_sentences(capsys):
    with pytest.raises(DataError, match='fetches it'):
        ensure_data('reviews')
    assert not Path('data').exists()
    assert capsys.readouterr().out == ''


def test_synthetic_is_given_where_it_is_asked_for(sentences, capsys):
    assert ensure_data('synthetic') == SYNTHETIC_PATH
    assert not REVIEWS_PATH.exists()
    assert capsys.readouterr().out == ''


def test_what_has_been_built_needs_no_archive(sentences, capsys):
    ensure_data()
    before = REVIEWS_PATH.stat().st_mtime_ns
    ARCHIVE.unlink()
    assert ensure_data() == REVIEWS_PATH
    assert REVIEWS_PATH.stat().st_mtime_ns == before
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('position', range(len(build.FILE_CODE)))
def test_a_change_in_any_code_that_it_is_made_by_makes_it_anew(sentences, monkeypatch, position):
    monkeypatch.setattr(build, 'FILE_CODE', [shutil.copy2(f, '.') for f in build.FILE_CODE])
    ensure_data()
    before = REVIEWS_PATH.stat().st_mtime_ns
    ensure_data()
    assert REVIEWS_PATH.stat().st_mtime_ns == before
    os.utime(build.FILE_CODE[position], ns=(before + 10**6,) * 2)
    ensure_data()
    assert REVIEWS_PATH.stat().st_mtime_ns != before


def test_the_code_that_it_is_made_by_is_all_there():
    names = {Path(file).name for file in build.FILE_CODE}
    assert names == {'build.py', 'source.py', 'word_vectors.py', 'words.py', 'voice_and_face.py'}


@pytest.mark.parametrize('change', ['older than its code', 'cut off', 'without its words'])
def test_reviews_is_built_again(sentences, capsys, change):
    ensure_data()
    first = REVIEWS_PATH.read_bytes()
    if change == 'cut off':
        REVIEWS_PATH.write_bytes(first[:-100])
    elif change == 'without its words':
        WORDS.unlink()
    else:
        os.utime(REVIEWS_PATH, (0, 0))
    before = REVIEWS_PATH.stat().st_mtime_ns
    assert ensure_data() == REVIEWS_PATH
    assert REVIEWS_PATH.stat().st_mtime_ns != before
    assert REVIEWS_PATH.read_bytes() == first
    assert WORDS.is_file()
    out = capsys.readouterr().out
    assert ('reviews.pkl: it is cut off' in out) == (change == 'cut off')


def test_the_real_file_is_used_where_it_is(sentences):
    Path('mosi_raw.pkl').write_bytes(b'')
    assert ensure_data() == ensure_data('') == Path('mosi_raw.pkl')
    assert ensure_data('reviews') == REVIEWS_PATH  # unless another is asked for
    shutil.rmtree('data')
    assert ensure_data() == Path('mosi_raw.pkl')


def test_a_path_that_was_set_is_used_or_is_an_error(sentences):
    Path('other.pkl').write_bytes(b'')
    assert ensure_data('other.pkl') == Path('other.pkl')
    with pytest.raises(FileNotFoundError, match=r'no data file gone\.pkl.*MSA_DATA'):
        ensure_data('gone.pkl')
    assert os.listdir('data') == [ARCHIVE.name]
