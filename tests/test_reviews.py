"""The stand-in `reviews`: labels from people, words from sentences, and nothing that leaks.

It is built here from sentences that were made up; `test_reviews_source.py` is about the real ones.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from msa_lab.data import SPLITS, DataError, feature_dims, load_split
from msa_lab.data.mosi_file import open_pickle
from msa_lab.data.reviews import ARCHIVE, REVIEWS_PATH, encode, write_reviews
from msa_lab.data.reviews.__main__ import main
from msa_lab.data.reviews.build import Settings, make_reviews
from msa_lab.data.reviews.source import Snippet, Source
from msa_lab.data.reviews.word_vectors import make_vectors
from msa_lab.data.words import split_words
from tests.helpers import assert_format_of_the_real_file
from tests.made_up_source import make_archive, make_lines, make_snippets, place_archive
from tests.packings import TINY

SNIPPETS = make_snippets(120)
SIZES = dict(videos=(6, 3, 4), utterances=(60, 24, 30))
# What a score from -4 to 4 becomes: 0.75 of it, to the nearest integer, 1.5 to the even 2.
SCALED = {-4: -3, -3: -2, -2: -2, -1: -1, 0: 0, 1: 1, 2: 2, 3: 2, 4: 3}


@pytest.fixture(scope='module')
def vectors():
    return make_vectors([snippet.text for snippet in SNIPPETS])


@pytest.fixture(scope='module')
def content(vectors):
    return build(vectors)


def build(vectors, snippets=SNIPPETS, **settings):
    return make_reviews(Source(list(snippets)), vectors, Settings(**(SIZES | settings)))


def others(fields):
    """The mean of the raters outside the label, (N,)."""
    return np.nanmean(fields['ratings'][:, 5:], axis=1)


def test_format_is_that_of_the_real_file(content):
    assert_format_of_the_real_file(content, SIZES['utterances'])


def test_the_ratings_are_those_of_the_sentence_in_another_order(content):
    scores = {snippet.text: snippet.scores for snippet in SNIPPETS}
    in_order = 0
    for fields in content.values():
        for sentence, row in zip(fields['raw_text'], fields['ratings'], strict=True):
            expected = [SCALED[score] for score in scores[sentence]]
            count = len(expected)
            assert sorted(row[:count]) == sorted(expected)
            assert np.isnan(row[count:]).all()
            in_order += row[:count].tolist() == expected
    assert in_order < 10


def test_a_label_is_the_mean_of_five_and_the_others_have_no_part_in_it(content):
    for fields in content.values():
        labels = fields['labels'].ravel()
        np.testing.assert_allclose(labels, fields['ratings'][:, :5].mean(1), atol=1e-6)
        np.testing.assert_allclose(5 * labels, np.rint(5 * labels), atol=1e-5)
        assert np.abs(labels).max() <= 3
        assert np.isfinite(fields['ratings'][:, 5:14]).all()
        assert (np.abs(others(fields) - labels) > 0.01).mean() > 0.8


@pytest.mark.parametrize('modality', ['vision', 'audio'])
def test_voice_and_face_follow_the_raters_outside_the_label(vectors, modality):
    """What a stronger `affect` adds to each utterance is proportional to the mean of the others."""
    changes = {'affect_noise': 0.0, 'videos': (6, 3, 4)}
    plain, strong = (build(vectors, affect=a, **changes)['valid'] for a in (0.0, 2.0))
    added = (strong[modality] - plain[modality]).astype(float)
    step = np.abs(added).sum(-1).argmax(1)  # one where the face is not missing
    added = np.take_along_axis(added, step[:, None, None], axis=1)[:, 0]
    seen = added.any(1)
    assert seen.sum() > 15
    main = added[seen] @ added[seen][np.abs(others(strong)[seen]).argmax()]
    assert abs(np.corrcoef(main, others(strong)[seen])[0, 1]) > 0.9999
    assert abs(np.corrcoef(main, strong['labels'].ravel()[seen])[0, 1]) < 0.995


def test_sizes_speakers_and_ids(content):
    videos = {}
    for split, n, n_videos in zip(SPLITS, SIZES['utterances'], SIZES['videos'], strict=True):
        ids = content[split]['id']
        assert len(set(ids)) == n
        videos[split] = {name.split('[')[0] for name in ids}
        assert len(videos[split]) == n_videos
    assert len(set.union(*videos.values())) == sum(SIZES['videos'])


def test_no_sentence_is_used_twice(content):
    sentences = [text for fields in content.values() for text in fields['raw_text']]
    assert len(sentences) == len(set(sentences)) == 114
    assert set(sentences) <= {snippet.text for snippet in SNIPPETS}


def test_the_sentences_of_a_split_are_drawn_and_not_the_first_ones(content):
    first = {snippet.text for snippet in SNIPPETS[:60]}
    assert 0.3 < np.mean([text in first for text in content['train']['raw_text']]) < 0.75


def test_the_same_arguments_give_the_same_file(vectors, content):
    again, other = build(vectors), build(vectors, seed=2)
    for split in SPLITS:
        for field in ('vision', 'text', 'audio', 'labels', 'ratings'):
            np.testing.assert_array_equal(again[split][field], content[split][field])
            assert not np.array_equal(other[split][field], content[split][field])
        assert again[split]['raw_text'] == content[split]['raw_text']


def test_stronger_voices_change_neither_text_nor_labels(vectors, content):
    other = build(vectors, affect=2.0, speaker=3.0)
    for field in ('text', 'labels', 'ratings'):
        np.testing.assert_array_equal(other['test'][field], content['test'][field])
    for field in ('vision', 'audio'):
        assert not np.array_equal(other['test'][field], content['test'][field])


def test_padding_is_in_front_and_no_sentence_has_more_than_50_steps(content):
    longest = 0
    for fields in content.values():
        for i, sentence in enumerate(fields['raw_text']):
            words = split_words(sentence)[:50]
            longest = max(longest, len(split_words(sentence)))
            filled = [fields[m][i].any(-1) for m in ('vision', 'text', 'audio')]
            assert not any(steps[: 50 - len(words)].any() for steps in filled)
            assert filled[2][50 - len(words) :].all()
    assert longest > 50


def test_a_word_without_a_vector_is_a_step_of_zeros_that_counts(content, vectors):
    for fields in content.values():
        for sentence, steps in zip(fields['raw_text'], fields['text'], strict=True):
            words = split_words(sentence)[:50]
            for word, step in zip(words, steps[50 - len(words) :], strict=True):
                assert step.any() == (word in vectors.index)
    rare = [Snippet(f'Zzzz{i} was seen zzzz', SNIPPETS[i].scores) for i in range(3)]
    fields = build(vectors, rare, videos=(1, 1, 1), utterances=(1, 1, 1))['train']
    assert fields['text'][0].any(-1).tolist() == [False] * 47 + [True, True, False]
    assert fields['audio'][0].any(-1).sum() == 4


def test_bad_points_are_in_the_training_audio_only(content):
    bad = ~np.isfinite(content['train']['audio'])
    assert 40 <= bad.sum() <= 50
    assert all(np.isfinite(content[split]['audio']).all() for split in ('valid', 'test'))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'utterances': (100, 20, 20)}, '140 utterances, but the source has 120'),
        ({'videos': (6, 3, 31)}, '30 utterances cannot come from 31 videos'),
        ({'videos': (0, 3, 4)}, '60 utterances cannot come from 0 videos'),
    ],
)
def test_impossible_sizes_are_refused(vectors, settings, message):
    with pytest.raises(ValueError, match=message):
        build(vectors, **settings)


@pytest.fixture
def archive(workdir, monkeypatch):
    place_archive(monkeypatch, make_archive(*make_lines(SNIPPETS)))
    monkeypatch.setattr('subprocess.run', None)  # no test starts pip


def test_the_file_is_read_with_one_word_for_each_step(archive):
    write_reviews(**SIZES)
    for name in SPLITS:
        data = load_split(REVIEWS_PATH, name)
        assert data.standin == 'reviews'
        assert data.ratings.shape == (len(data), 29)
        for i, sentence in enumerate(data.raw_text):
            assert len(data.words(i)) == data.lengths[i]
            assert data.words(i) == split_words(sentence)[:50]
    assert feature_dims(REVIEWS_PATH) == {}


def test_as_many_spaces_as_words_do_not_move_the_words(workdir, monkeypatch):
    """Four words and four pieces between spaces, but not the same four."""
    odd = [Snippet(f"It isn't {w} -", s.scores) for w, s in zip('abcdef', SNIPPETS, strict=False)]
    place_archive(monkeypatch, make_archive(*make_lines(odd)))
    write_reviews(videos=(1, 1, 1), utterances=(2, 2, 2))
    data = load_split(REVIEWS_PATH)
    assert data.words(0)[:3] == ['it', 'is', "n't"]


def test_a_sentence_is_encoded_as_the_file_has_it(archive):
    write_reviews(**SIZES)
    data = load_split(REVIEWS_PATH, 'test')
    for i in range(len(data)):
        text, words, unknown = encode(data.sentence(i))
        np.testing.assert_array_equal(text, data.text[i])
        assert words == data.words(i)
        assert not unknown
    assert encode('A zzzz film').unknown == ['zzzz']


def test_a_file_elsewhere_has_its_own_words_beside_it(archive):
    write_reviews('other/a.pkl', **SIZES)
    assert encode('film', 'other/a.pkl').text.any()
    with pytest.raises(DataError, match=r'no data/reviews-words\.npz'):
        encode('film')


def test_new_words_are_used_as_soon_as_they_are_written(archive, monkeypatch):
    write_reviews(**SIZES)
    assert encode('blobby').unknown == ['blobby']
    more = [Snippet(f'{s.text} blobby {i}', s.scores) for i, s in enumerate(SNIPPETS)]
    place_archive(monkeypatch, make_archive(*make_lines(more)))
    os.utime('data/reviews-words.npz', (0, 0))
    write_reviews(**SIZES)
    assert encode('blobby').unknown == []


def test_no_rating_is_in_the_vectors(workdir, monkeypatch):
    """Other people, other scores: other labels, and the same words to the last bit."""
    turned = [Snippet(text, tuple(-s for s in scores)) for text, scores in SNIPPETS]
    arrays, labels = [], []
    for folder, snippets in (('a', SNIPPETS), ('b', turned)):
        place_archive(monkeypatch, make_archive(*make_lines(snippets)))
        write_reviews(f'{folder}/reviews.pkl', **SIZES)
        arrays.append(Path(folder, 'reviews-words.npz').read_bytes())
        labels.append(load_split(f'{folder}/reviews.pkl').labels)
    assert arrays[0] == arrays[1]
    assert np.corrcoef(*labels)[0, 1] < -0.5


def test_the_words_are_counted_once_for_files_of_other_settings(archive, monkeypatch):
    write_reviews(**SIZES)
    monkeypatch.setattr('msa_lab.data.reviews.build.make_vectors', None)
    write_reviews('data/other.pkl', seed=2, **SIZES)
    first, second = (load_split(f'data/{name}.pkl') for name in ('reviews', 'other'))
    assert first.raw_text != second.raw_text


def test_damaged_words_are_counted_again_by_the_command_that_the_error_names(archive):
    write_reviews(**SIZES)
    kept = Path('data/reviews-words.npz')
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r'run "python -m msa_lab\.data\.reviews"'):
        encode('film')
    write_reviews(**SIZES)  # what the command does
    assert kept.read_bytes() == whole
    assert encode('film').text.any()


def test_a_build_that_a_full_disk_ends_leaves_no_file(archive, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr('pickle.dump', full_disk)
    with pytest.raises(OSError, match='No space'):
        write_reviews(**SIZES)
    assert sorted(os.listdir('data')) == sorted([ARCHIVE.name, 'reviews-words.npz'])


def run_main(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['msa_lab.data.reviews', *args])
    return main()


@pytest.fixture
def tiny(monkeypatch):
    """The command builds a tiny file."""
    monkeypatch.setattr(
        'msa_lab.data.reviews.__main__.write_reviews',
        lambda path, **settings: write_reviews(path, **settings, **TINY),
    )


def test_the_command_builds_the_file_and_says_what_it_is(archive, tiny, monkeypatch, capsys):
    assert run_main(monkeypatch) == 0
    out, err = capsys.readouterr()
    assert err == ''
    assert 'Hutto and E. Gilbert' in out
    assert 'has 120 rated sentences' in out
    assert 'and 6 sentences more' in out
    assert 'Lines skipped: none.' in out
    assert 'Made of it: 15 sentences of' in out
    assert 'the STAND-IN reviews, not CMU-MOSI: real sentences and ratings, simulated' in out
    assert REVIEWS_PATH.is_file()


def test_the_command_counts_the_lines_that_it_skipped(workdir, tiny, monkeypatch, capsys):
    texts, ratings = make_lines(SNIPPETS)
    texts[3] = ratings[5] = b''
    place_archive(monkeypatch, make_archive(texts, ratings))
    assert run_main(monkeypatch, '--out', 'x/a.pkl', '--seed', '3') == 0
    out = capsys.readouterr().out
    assert 'has 118 rated sentences' in out
    assert 'too few or too many fields (2)' in out
    assert 'a sentence without usable scores (1)' in out
    assert sorted(os.listdir('x')) == ['a.pkl', 'reviews-words.npz']
    with open_pickle('x/a.pkl') as content:
        assert list(content) == list(SPLITS)
    write_reviews('x/b.pkl', seed=3, **TINY)
    assert Path('x/a.pkl').read_bytes() == Path('x/b.pkl').read_bytes()


def test_the_command_names_what_is_wrong_in_one_line(archive, tiny, monkeypatch, capsys):
    ARCHIVE.write_bytes(b'<html>')
    message = run_main(monkeypatch)
    assert message.startswith(f'error: {ARCHIVE}: is a web page')
    assert '\n' not in message
    place_archive(monkeypatch, make_archive(*make_lines(SNIPPETS)))
    assert 'non-negative' in run_main(monkeypatch, '--seed', '-1')
    Path('file').touch()
    assert run_main(monkeypatch, '--out', 'file/a.pkl').startswith('error: ')  # no folder there
    assert capsys.readouterr().out == ''
