"""`msa_lab.data.reviews.word_vectors` and `msa_lab.data.words`: from text to vectors."""

import numpy as np
import pytest

from msa_lab.data import DataError
from msa_lab.data.reviews.word_vectors import FEWEST, WordVectors, make_vectors
from msa_lab.data.words import split_words
from tests.made_up_source import make_snippets

SENTENCES = [snippet.text for snippet in make_snippets(120)]


@pytest.fixture(scope='module')
def vectors():
    return make_vectors(SENTENCES)


@pytest.mark.parametrize(
    ('sentence', 'words'),
    [
        ("It isn't bad.", ['it', 'is', "n't", 'bad']),
        ('We’re here, it’s 1999!', ['we', "'re", 'here', 'it', "'s", '1999']),
        ("DON'T, can't", ['do', "n't", 'ca', "n't"]),
        ("is n't a 'quoted' word", ['is', "n't", 'a', 'quoted', 'word']),
        ('well-made; café_noir', ['well', 'made', 'café', 'noir']),
        ("the actors' rock'n'roll", ['the', 'actors', 'rock', 'n', 'roll']),
        ('?! ...', []),
        ('', []),
    ],
)
def test_a_sentence_is_cut_into_words(sentence, words):
    assert split_words(sentence) == words


def test_the_same_sentences_give_the_same_vectors(vectors):
    again = make_vectors(SENTENCES)
    assert again.words == vectors.words
    assert again.vectors.tobytes() == vectors.vectors.tobytes()


def test_words_with_few_neighbours_get_none_and_the_others_come_by_frequency(vectors):
    words = [word for sentence in SENTENCES for word in split_words(sentence)]
    counts = [words.count(word) for word in vectors.words]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= FEWEST
    assert all(words.count(word) < FEWEST for word in set(words) - set(vectors.words))
    assert vectors.vectors.shape == (len(vectors.words), 300)
    assert vectors.vectors.dtype == np.float32
    assert set(make_vectors(['apple pear apple fig'] * 5 + ['kiwi fig'] * 4).words) == {
        *('apple', 'pear', 'fig')
    }


def naive_table(sentences, words):
    """The table of information of `make_vectors`, cell by cell."""
    counts = np.zeros((len(words), len(words)))
    for sentence in sentences:
        tokens = split_words(sentence)
        for i, word in enumerate(tokens):
            for j, context in enumerate(tokens):
                if 1 <= abs(i - j) <= 4 and word in words and context in words:
                    counts[words.index(word), words.index(context)] += 1 / abs(i - j)
    context = counts.sum(0) ** 0.75
    context /= context.sum()
    with np.errstate(divide='ignore'):
        information = np.log(counts / counts.sum(1, keepdims=True) / context)
    return np.maximum(information, 0)


def test_the_vectors_are_those_of_the_definition(vectors):
    """The squares of the singular values and the distances in the leading columns."""
    left, singular, _ = np.linalg.svd(naive_table(SENTENCES, list(vectors.words)))
    np.testing.assert_allclose(np.square(vectors.vectors).sum(0)[:8], singular[:8], rtol=1e-3)
    expected = left[:, 0] * np.sqrt(singular[0])
    found = vectors.vectors[:, 0]
    np.testing.assert_allclose(found * np.sign(found @ expected), expected, atol=1e-3)


def test_no_word_has_neighbours_in_another_sentence(vectors):
    """The order of the sentences says nothing."""
    other = make_vectors(SENTENCES[::-1])
    assert other.words == vectors.words
    for matrix in (vectors, other):
        matrix.products = matrix.vectors[:, :5] @ matrix.vectors[:, :5].T
    np.testing.assert_allclose(other.products, vectors.products, atol=1e-2)


def test_words_in_the_same_places_have_similar_vectors():
    frames = ['we saw a {} film at night', 'this was a {} film to me', 'never a {} film again']
    places = ['they ate {} at home', 'he bought {} at noon', 'more {} at once']
    sentences = [f.format(w) for f in frames for w in ('fine', 'poor')] * 3
    sentences += [f.format(w) for f in places for w in ('bread', 'soup')] * 3
    vectors = make_vectors(sentences)
    fine, poor, bread = (vectors.vectors[vectors.index[w]] for w in ('fine', 'poor', 'bread'))
    assert fine @ poor > 0.9 * (fine @ fine) > 2 * abs(fine @ bread)


def test_a_sentence_that_somebody_typed_is_encoded(vectors):
    text, words, unknown = vectors.encode("It's a WONDERFUL zzzz, isn't it?")
    assert words == ['it', "'s", 'a', 'wonderful', 'zzzz', 'is', "n't", 'it']
    assert unknown == ['zzzz']
    assert text.shape == (50, 300)
    assert text.dtype == np.float32
    assert not text[:42].any()
    for step, word in enumerate(words, start=42):
        expected = 0 if word == 'zzzz' else vectors.vectors[vectors.index[word]]
        assert (text[step] == expected).all()
        assert text[step].any() == (word != 'zzzz')


def test_a_long_sentence_keeps_its_first_50_words(vectors):
    sentence = ' '.join(['good', *['film'] * 48, 'story', 'music', 'actor'])
    text, words, _ = vectors.encode(sentence)
    assert words == ['good', *['film'] * 48, 'story']
    assert (text[-1] == vectors.vectors[vectors.index['story']]).all()
    assert text[1].any()


def test_an_empty_sentence_has_no_words(vectors):
    text, words, unknown = vectors.encode('')
    assert not text.any()
    assert words == unknown == []


def test_vectors_are_read_as_they_were_written(vectors, tmp_path):
    vectors.save(tmp_path / 'a.npz')
    read = WordVectors.load(tmp_path / 'a.npz')
    assert read.words == vectors.words
    assert read.index == vectors.index
    assert (read.vectors == vectors.vectors).all()


def spoil(path, case):
    whole = path.read_bytes()
    place = len(whole) // 2
    contents = {
        'cut off': whole[:place],
        'empty': b'',
        'text': b'text',
        'damaged': whole[:place] + 64 * b'\xff' + whole[place + 64 :],
    }
    if case == 'other arrays':
        np.savez(path, words=np.array(['a']))
    elif case == 'one array':
        with path.open('wb') as file:
            np.save(file, np.zeros(3))
    elif case == 'objects':
        np.savez(path, words=np.array([{}]), vectors=np.zeros((1, 300)))
    elif case == 'missing':
        path.unlink()
    else:
        path.write_bytes(contents[case])


CASES = ['cut off', 'empty', 'text', 'damaged', 'other arrays', 'one array', 'objects', 'missing']


@pytest.mark.parametrize('case', CASES)
def test_a_damaged_file_of_vectors_is_named_in_one_line(vectors, tmp_path, case):
    path = tmp_path / 'a.npz'
    vectors.save(path)
    spoil(path, case)
    with pytest.raises(DataError, match=r'a\.npz: cannot be read .* run "python -m') as caught:
        WordVectors.load(path)
    assert '\n' not in str(caught.value)
