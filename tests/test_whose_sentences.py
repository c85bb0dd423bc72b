"""The sentences of `reviews` belong to others: no file that is committed or shipped quotes them.

A quotation is a whole sentence of six words or more, or eight words of it in a row. Single words,
and words with something between them, are none. Pictures are not read.
"""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest

from msa_lab.data.reviews import ARCHIVE, read_source
from msa_lab.data.words import split_words
from tests.made_up_source import make_snippets

ROOT = Path(__file__).parent.parent
SHORTEST, RUN = 6, 8
PICTURES = {'.jpg', '.png'}


def index_sentences(sentences):
    """What counts as a quotation of a sentence: a set of tuples of six to eight words."""
    index = set()
    for sentence in sentences:
        words = split_words(sentence)
        if len(words) >= SHORTEST:
            index.update(runs(words, min(len(words), RUN)))
    return index


def runs(words, length):
    """All runs of that many words, as tuples."""
    return zip(*(words[k:] for k in range(length)), strict=False)


def find_quotations(text, index):
    """The quotations in a text, which may be HTML; each as one string."""
    words = split_words(html.unescape(re.sub(r'</?\w[^<>]*>', ' ', text)))
    return [
        ' '.join(run)
        for length in range(SHORTEST, RUN + 1)
        for run in runs(words, length)
        if run in index
    ]


def strings_in(value):
    """Every text in a notebook: cells and outputs, whatever they are; lists of lines are joined."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = ''.join(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings_in(part)


def texts_of(path):
    """The texts of a file."""
    content = path.read_text(encoding='utf-8')
    return strings_in(json.loads(content)) if path.suffix == '.ipynb' else [content]


def assert_no_quotation(paths, index):
    """Name the files that quote a sentence; the sentence itself is not repeated here."""
    quoting = {
        str(path): sum(len(find_quotations(text, index)) for text in texts_of(path))
        for path in paths
    }
    assert not {name: count for name, count in quoting.items() if count}


@pytest.fixture(scope='module')
def source_sentences():
    if not (ROOT / ARCHIVE).is_file():
        pytest.skip('needs the source of the stand-in: make venv fetches it')
    source = read_source(ROOT / ARCHIVE)
    return [snippet.text for snippet in source.snippets] + source.other_texts


@pytest.fixture(scope='module')
def source_index(source_sentences):
    return index_sentences(source_sentences)


def committed_files():
    """Every file that git knows."""
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip('needs git')
    return [ROOT / name for name in listed.stdout.split('\0') if name and (ROOT / name).is_file()]


def hide_in(kind, sentence):
    """A sentence as a reader would meet it."""
    words = sentence.split()
    cells = {
        'text': f'For example: "{sentence.upper()}" is hard.',
        'lines': '# ' + '\n'.join(words),
        'html': f'<td>1</td><td>{"".join(f"<b>{html.escape(w)}</b> " for w in words)}</td>',
        'part': ' '.join(words[:10]) + ' ...',
    }
    return cells[kind]


@pytest.mark.parametrize('kind', ['text', 'lines', 'html', 'part'])
def test_a_quotation_is_found_wherever_it_stands(tmp_path, kind):
    snippets = [s.text for s in make_snippets(50) if len(split_words(s.text)) > 12]
    index = index_sentences(snippets)
    text = hide_in(kind, snippets[7])
    assert find_quotations(text, index)
    notebook = {'cells': [{'outputs': [{'data': {'text/html': text.splitlines(True)}}]}]}
    for name, content in (('a.md', text), ('a.ipynb', json.dumps(notebook))):
        path = tmp_path / name
        path.write_text(content, encoding='utf-8')
        with pytest.raises(AssertionError, match=re.escape(name)):
            assert_no_quotation([path], index)


def test_single_words_and_short_sentences_are_no_quotation():
    index = index_sentences(['one two three four five', 'a b c d e f g h i j'])
    assert not find_quotations('one two three four five', index)
    assert not find_quotations('a b c d e f g', index)
    assert not find_quotations('j i h g f e d c b a', index)
    assert find_quotations('a b c d e f g h', index)


@pytest.mark.parametrize('kind', ['text', 'lines', 'html', 'part'])
def test_a_sentence_of_the_source_would_be_found(source_sentences, source_index, kind):
    long = [s for s in source_sentences if len(s.split()) > 12][::500]
    assert len(long) > 15
    for sentence in long:
        assert find_quotations(hide_in(kind, sentence), source_index)


def test_no_committed_file_quotes_a_sentence(source_index):
    """The notebook with all its outputs among them."""
    files = [path for path in committed_files() if path.suffix not in PICTURES]
    assert ROOT / 'EXP_MSA.ipynb' in files
    assert_no_quotation(files, source_index)


def test_nothing_that_is_copied_into_the_fill_in_edition_quotes_a_sentence(source_index, tmp_path):
    """Its notebook and its other files are made of committed ones, which the test above reads."""
    copy_lab = pytest.importorskip('grading.release', reason='needs nbgrader').copy_lab
    copy_lab(tmp_path)
    shipped = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert {path.suffix for path in shipped} <= PICTURES | {'.py'}
    assert_no_quotation([path for path in shipped if path.suffix not in PICTURES], source_index)
