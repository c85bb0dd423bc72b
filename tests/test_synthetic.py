"""The stand-in: the real file's format, the variables behind it, and where it is written.

What only a training can measure stands in `make calibrate`; here is what holds by construction.
"""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from msa_lab.data import SPLITS, ensure_data, load_split
from msa_lab.data import synthetic_words as words
from msa_lab.data.inspection import describe
from msa_lab.data.mosi_file import open_pickle
from msa_lab.data.synthetic import (
    GAINS,
    SYNTHETIC_PATH,
    Settings,
    World,
    make_standin,
    write_standin,
)
from tests.helpers import assert_format_of_the_real_file

TINY = dict(videos=(3, 2, 2), utterances=(20, 8, 9))


@pytest.fixture(scope='module')
def full():
    """The stand-in at its real size, once."""
    return make_standin()


def joined(content, field):
    return np.concatenate([np.asarray(content[split][field]) for split in SPLITS])


def test_format_is_that_of_the_real_file():
    assert_format_of_the_real_file(make_standin(**TINY), (20, 8, 9))


def test_the_same_arguments_give_the_same_arrays():
    first, second, other = make_standin(**TINY), make_standin(**TINY), make_standin(seed=1, **TINY)
    for field in ('vision', 'text', 'audio', 'labels'):
        np.testing.assert_array_equal(first['train'][field], second['train'][field])
        assert not np.array_equal(first['train'][field], other['train'][field])


@pytest.mark.parametrize(
    ('change', 'same', 'different'),
    [
        ({'affect': 2.0}, ['text', 'labels', 'raw_text'], ['audio', 'vision']),
        ({'valence': 2.0}, ['audio', 'vision', 'labels', 'raw_text'], ['text']),
        ({'negation': 0.6}, ['audio', 'vision', 'labels'], ['text', 'raw_text']),
        ({'utterances': (25, 8, 9)}, [], []),
    ],
)
def test_a_change_in_one_concern_moves_no_other(change, same, different):
    before, after = make_standin(**TINY), make_standin(**(TINY | change))
    for field in same:
        np.testing.assert_array_equal(before['train'][field], after['train'][field])
    for field in different:
        assert not np.array_equal(before['train'][field], after['train'][field])
    if 'utterances' in change:  # more training data leave the other splits as they were
        for field in ('vision', 'text', 'audio', 'labels'):
            np.testing.assert_array_equal(before['valid'][field], after['valid'][field])


def test_labels_are_means_of_five_ratings(full):
    labels = joined(full, 'labels').ravel()
    np.testing.assert_allclose(labels * 5, np.round(labels * 5), atol=1e-5)
    assert labels.min() == -3
    assert labels.max() == 3
    assert 0.1 <= labels.mean() <= 0.3
    assert 1.5 <= labels.std() <= 1.7
    assert 0.03 <= np.mean(labels == 0) <= 0.06


def test_sizes_videos_and_ids(full):
    videos = {}
    for split, count, n_videos in zip(SPLITS, (1284, 229, 686), (52, 10, 31), strict=True):
        ids = full[split]['id']
        assert len(ids) == len(set(ids)) == count
        videos[split] = {name.split('[')[0] for name in ids}
        assert len(videos[split]) == n_videos
        assert all(name.startswith('synthetic') and name.endswith(']') for name in ids)
    assert len(set.union(*videos.values())) == 93


def test_lengths_and_front_padding(full):
    text = joined(full, 'text').any(-1)
    lengths = text.sum(1)
    assert 11 <= lengths.mean() <= 14
    assert lengths.max() >= 45
    for row, length in zip(text, lengths, strict=True):
        assert row[50 - length :].all()
    for modality in ('vision', 'audio'):
        assert not joined(full, modality)[~text].any()


def test_words_stand_for_the_vectors(full):
    """The same word has the same vector wherever it stands."""
    vectors = {}
    for fields in full.values():
        for sentence, steps in zip(fields['raw_text'], fields['text'], strict=True):
            tokens = sentence.split()
            for token, vector in zip(tokens, steps[50 - len(tokens) :], strict=True):
                np.testing.assert_array_equal(vectors.setdefault(token, vector), vector)
    assert len(vectors) > 1500


def test_defects(full):
    bad = ~np.isfinite(full['train']['audio'])
    assert 40 <= bad.sum() <= 50
    assert set(full['train']['audio'][bad]) == {np.inf, -np.inf}
    assert len(set(np.nonzero(bad)[1])) > 5  # not all in the same step
    assert np.isfinite(full['valid']['audio']).all()
    spoken = full['train']['text'].any(-1)
    face = full['train']['vision'].any(-1)
    without_face = ~(face & spoken).any(1)
    assert 0.01 <= without_face.mean() <= 0.06
    assert 0.02 <= (~face & spoken)[~without_face].sum() / spoken.sum() <= 0.05


def test_the_shares_of_irony_and_negation():
    _, latents = World(Settings()).split('test')
    assert 0.05 <= latents.ironic.mean() <= 0.08
    assert 0.05 <= latents.negated.mean() <= 0.25


def test_ironic_words_say_the_opposite():
    _, latents = World(Settings(irony=0.5, utterances=(1284, 229, 686))).split('train')
    same_sign = np.sign(latents.slot_value) == np.sign(latents.latent[latents.slot_owner])
    ironic = latents.ironic[latents.slot_owner]
    assert same_sign[ironic].mean() < 0.3
    assert same_sign[~ironic].mean() > 0.7


def test_negation_turns_the_word_round():
    """Slot by slot: a word behind a negator stands for the opposite of its own valence."""
    world = World(Settings(negation=0.6, videos=(5, 2, 2), utterances=(200, 8, 9)))
    fields, latents = world.split('train')
    valence = dict(zip(*world.lexicon, strict=True))
    found = {False: [], True: []}
    for owner, value, wording in zip(
        latents.slot_owner, latents.slot_value, latents.slot_wording, strict=True
    ):
        tokens = ['', *fields['raw_text'][owner].split()]
        gain = GAINS[wording]
        before = {a for a, b in pairwise(tokens) if np.isclose(valence.get(b, 0), value / gain)}
        if len(before) == 1:  # the same word may stand there twice
            found[before.pop() in words.NEGATORS].append(gain)
    assert len(found[True]) > 100
    assert set(found[True]) == {-0.8}
    assert min(found[False]) > 0


def test_speakers_differ_between_videos_and_splits():
    """The mean of the voice tells two videos apart, and no split repeats another's speakers."""
    content = make_standin(affect=0.0, videos=(4, 4, 4), utterances=(80, 80, 80))
    means = []
    for fields in content.values():
        spoken = fields['text'].any(-1)
        audio = np.where(np.isfinite(fields['audio']), fields['audio'], 0)
        video = np.array([name.split('[')[0] for name in fields['id']])
        means += [audio[video == v][spoken[video == v]].mean(0) for v in sorted(set(video))]
    distance = np.linalg.norm(np.array(means)[:, None] - np.array(means)[None], axis=-1)
    assert distance[~np.eye(12, dtype=bool)].min() > 2.0


def test_the_mark_of_irony_shows_in_voice_or_face():
    def content(strength):
        sizes = dict(videos=(2, 4, 2), utterances=(4, 80, 4))
        return World(Settings(irony_mark=strength, irony=0.5, **sizes)).split('valid')

    (plain, latents), (marked, _) = content(0.0), content(3.0)
    face, voice = ((plain[m] != marked[m]).any((1, 2)) for m in ('vision', 'audio'))
    assert not (face | voice)[~latents.ironic].any()
    assert (face | voice)[latents.ironic].mean() > 0.9
    assert (face & voice)[latents.ironic].mean() < 0.5


def test_a_smaller_lexicon():
    world = World(Settings(lexicon=200, **TINY))
    sentiment, valences = world.lexicon
    assert len(sentiment) == len(valences) == 200
    assert len(world.vocabulary[0]) == len(set(world.vocabulary[0])) == 3000


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'lexicon': 401}, 'lexicon must be even'),
        ({'negation': 0.9}, 'negation must be in'),
        ({'irony': 1.1}, 'irony must be in'),
        ({'vocabulary': 500}, 'vocabulary must be in'),
        ({'videos': (5, 2, 2), 'utterances': (4, 2, 2)}, '4 utterances cannot come from 5 videos'),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make_standin(**settings)


def test_the_tables_of_words():
    assert len(words.POSITIVE) == len(words.NEGATIVE) == 200
    everything = [
        *words.POSITIVE,
        *words.NEGATIVE,
        *words.NEUTRAL,
        *words.NEGATORS,
        *words.INTENSIFIERS,
        *words.DIMINISHERS,
    ]
    assert len(everything) == len(set(everything))
    assert (len(words.NEGATORS), len(words.INTENSIFIERS), len(words.DIMINISHERS)) == (4, 8, 5)
    assert all(word.replace("'", '').isalpha() and word == word.lower() for word in everything)


@pytest.fixture
def quick(monkeypatch):
    """`ensure_data` writes a tiny stand-in; returns the list of paths written."""
    written = []

    def write(path):
        written.append(path)
        write_standin(path, **TINY)

    monkeypatch.setattr('msa_lab.data.synthetic.write_standin', write)
    return written


def test_it_is_made_once(workdir, quick):
    assert ensure_data('synthetic') == ensure_data('synthetic') == SYNTHETIC_PATH
    assert quick == [SYNTHETIC_PATH]
    assert [p.name for p in Path('data').iterdir()] == ['synthetic.pkl']
    assert load_split(SYNTHETIC_PATH).standin == 'synthetic'


def test_it_is_made_again_when_it_is_older_than_its_generator(workdir, quick):
    ensure_data('synthetic')
    os.utime(SYNTHETIC_PATH, (0, 0))
    ensure_data('synthetic')
    assert len(quick) == 2


def test_an_interrupted_write_leaves_the_old_file(workdir, monkeypatch):
    write_standin('a.pkl', **TINY)
    before = Path('a.pkl').read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError('No space left on device')

    monkeypatch.setattr('pickle.dump', full_disk)
    with pytest.raises(OSError, match='No space'):
        write_standin('a.pkl', **TINY)
    assert Path('a.pkl').read_bytes() == before
    assert [p.name for p in workdir.iterdir()] == ['a.pkl']


def test_describe_says_that_it_is_synthetic(workdir):
    write_standin('a.pkl', **TINY)
    text = describe('a.pkl')
    assert 'the STAND-IN synthetic, not CMU-MOSI: everything is generated' in text
    assert '20 utterances of 3 videos' in text
    with open_pickle('a.pkl') as content:
        assert list(content) == list(SPLITS)
