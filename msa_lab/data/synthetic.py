"""The stand-in `synthetic`: generated data in the exact format of `mosi_raw.pkl`, as hard as MOSI.

The real file may not be passed on, so the lab brings data of its own. Each utterance has a latent
sentiment. Five simulated raters score it, which gives the label, and each modality depends on it:
the text has sentiment words, which may be negated, intensified or weakened; face and voice depend
on it weakly, differ strongly from speaker to speaker, and carry a mark where an utterance is
ironic, which means that its words express the opposite of its sentiment.
Numbers measured on it are numbers about this model of speakers and never about CMU-MOSI.

`python -m msa_lab.data.synthetic` writes the file and prints what it is.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy.special import ndtr, ndtri

from msa_lab.data import synthetic_words as words
from msa_lab.data import voice_and_face
from msa_lab.data.format import SPLITS, STEPS, WIDTHS
from msa_lab.data.inspection import describe
from msa_lab.data.made_file import is_current, write_data
from msa_lab.data.voice_and_face import Strengths, add_bad_points, draw_features, unit_rows

SYNTHETIC_PATH = Path('data/synthetic.pkl')

# A sentiment word may stand behind a modifier, which multiplies its valence by a gain.
WORDINGS = ('plain', 'negated', 'intensified', 'diminished')
GAINS = np.array([1.0, -0.8, 1.6, 0.5])
INTENSIFIED, DIMINISHED = 0.20, 0.10  # shares of the sentiment words
RATERS, RATING_NOISE = 5, 0.4  # the noise is a standard deviation, in units of the score
LATENT_RANGE = 2.75  # the latent sentiment lies in (-2.75, 2.75)


@dataclass(frozen=True)
class Settings(Strengths):
    """The arguments of `make_standin`. The defaults are calibrated to be as hard as CMU-MOSI.

    `videos` and `utterances` are the sizes of the splits train, valid and test.
    """

    seed: int = 0
    videos: tuple[int, int, int] = (52, 10, 31)
    utterances: tuple[int, int, int] = (1284, 229, 686)
    negation: float = 0.11  # share of the sentiment slots that are negated
    irony: float = 0.06  # share of the utterances whose words say the opposite
    slots: float = 0.9  # expected sentiment words of an utterance, plus `slots_per_word`
    slots_per_word: float = 0.06
    slot_noise: float = 0.75  # how far a sentiment word is off the utterance's sentiment
    irony_mark: float = 2.0  # strength of the mark on ironic utterances
    valence: float = 1.2  # strength of valence in the vectors of sentiment words
    lexicon: int = 400  # number of sentiment words, half of them positive
    vocabulary: int = 3000  # number of words in all


@dataclass(frozen=True, eq=False)
class LatentVariables:
    """The variables from which the N utterances of a split were made and which no model sees.

    `latent` (N,) is the sentiment in (-2.75, 2.75). `ironic` (N,) is bool. `affect` (N, 2) is the
    sentiment as face and voice show it, noise included, in units of `SENTIMENT_SCALE`. There are S
    sentiment words: `slot_owner` (S,) is the utterance of each, `slot_value` (S,) its valence times
    the gain of its modifier, `slot_wording` (S,) the modifier, an index into `WORDINGS`.
    """

    latent: np.ndarray
    ironic: np.ndarray
    affect: np.ndarray
    slot_owner: np.ndarray
    slot_value: np.ndarray
    slot_wording: np.ndarray

    @property
    def negated(self) -> np.ndarray:
        """Which utterances have a negated sentiment word, bool (N,)."""
        negated = self.slot_owner[self.slot_wording == WORDINGS.index('negated')]
        return np.isin(np.arange(len(self.latent)), negated)


class World:
    """The generator of the data set that `Settings` describe; `split` makes one split of it.

    Each concern (lexicon, labels, words, ...) has a random stream of its own, so that a change of
    one setting leaves alone what does not depend on it. Raises ValueError for impossible settings.
    """

    def __init__(self, settings: Settings):
        if settings.lexicon % 2 or not 2 <= settings.lexicon <= 400:
            raise ValueError(f'lexicon must be even and in [2, 400]; got {settings.lexicon}')
        if not 0 <= settings.negation <= 1 - INTENSIFIED - DIMINISHED:
            raise ValueError(f'negation must be in [0, 0.7]; got {settings.negation}')
        if not 0 <= settings.irony <= 1:
            raise ValueError(f'irony must be in [0, 1]; got {settings.irony}')
        if not settings.lexicon + 200 <= settings.vocabulary <= 20_000:
            raise ValueError(
                f'vocabulary must be in [lexicon + 200, 20000]; got {settings.vocabulary}'
            )
        for videos, utterances in zip(settings.videos, settings.utterances, strict=True):
            if not 1 <= videos <= utterances:
                raise ValueError(f'{utterances} utterances cannot come from {videos} videos')
        self.settings = settings

    def stream(self, concern: str, part: int = 0) -> np.random.Generator:
        """The random generator of one concern, for the split of that number."""
        concerns = ('vocabulary', 'lexicon', 'modality', 'labels', 'words', 'vision', 'audio')
        return np.random.default_rng([self.settings.seed, concerns.index(concern), part])

    @cached_property
    def lexicon(self) -> tuple[list[str], np.ndarray]:
        """The sentiment words and their valences, whose absolute values are in [0.3, 3]."""
        rng, half = self.stream('lexicon'), self.settings.lexicon // 2
        chosen, valences = [], []
        for table, sign in ((words.POSITIVE, 1), (words.NEGATIVE, -1)):
            ranks = np.sort(rng.choice(len(table), half, replace=False))
            chosen += [table[r] for r in ranks]
            valences.append(sign * (0.3 + 2.7 * (ranks + rng.random(half)) / len(table)))
        return chosen, np.concatenate(valences)

    @cached_property
    def vocabulary(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """All V words, the frequencies (F,) of the first F of them, and the vectors (V, 300).

        The first F words are fillers, neutral words and then invented ones, in decreasing order of
        frequency, which follows Zipf's law. Modifiers and sentiment words come behind them; they
        have no frequency, because they are drawn by their meaning.
        """
        rng, size = self.stream('vocabulary'), WIDTHS['text']
        special = [*words.NEGATORS, *words.INTENSIFIERS, *words.DIMINISHERS]
        sentiment, valences = self.lexicon
        n_filler = self.settings.vocabulary - len(special) - len(sentiment)
        tokens = [*words.NEUTRAL[:n_filler], *invented_words(max(0, n_filler - len(words.NEUTRAL)))]
        tokens += [*special, *sentiment]

        topics = unit_rows(rng.normal(size=(20, size)))
        mixture = rng.exponential(size=(len(tokens), 20)) * (rng.random((len(tokens), 20)) < 0.15)
        vectors = unit_rows(mixture @ topics) + unit_rows(rng.normal(size=(len(tokens), size)))
        kinds = unit_rows(rng.normal(size=(3, size)))
        clusters = unit_rows(rng.normal(size=(4, size)))
        counts = (len(words.NEGATORS), len(words.INTENSIFIERS), len(words.DIMINISHERS))
        vectors[n_filler : n_filler + len(special)] += np.repeat(kinds, counts, axis=0)
        of_cluster = rng.integers(4, size=len(sentiment))
        vectors[-len(sentiment) :] += (
            self.settings.valence * valences[:, None] * clusters[of_cluster]
        )
        rank = np.arange(len(tokens))
        rank[n_filler:] = rng.integers(20, n_filler, size=len(tokens) - n_filler)
        vectors = unit_rows(vectors) * (3.5 + 0.9 * np.log10(1 + rank))[:, None]
        frequencies = 1 / (np.arange(n_filler) + 3.0)
        return tokens, frequencies / frequencies.sum(), vectors

    def split(self, name: str) -> tuple[dict, LatentVariables]:
        """One split: its fields as in `make_standin`, and the variables from which it was made."""
        part = SPLITS.index(name)
        n, n_videos = self.settings.utterances[part], self.settings.videos[part]
        rng = self.stream('labels', part)

        first = rng.permutation(n)[:n_videos]  # every video has at least one utterance
        video = np.sort(
            np.concatenate([np.arange(n_videos), rng.integers(n_videos, size=n - len(first))])
        )
        per_video = ndtri((rng.permutation(n_videos) + 0.5) / n_videos)
        normal = np.sqrt(0.35) * per_video[video] + np.sqrt(0.65) * rng.normal(size=n) + 0.13
        latent = LATENT_RANGE * (2 * ndtr(normal) - 1)
        noise = rng.normal(0, RATING_NOISE, (n, RATERS))
        ratings = np.clip(np.round(latent[:, None] + noise), -3, 3)
        lengths = np.minimum(STEPS, 1 + rng.gamma(1.5, 8, n).astype(int))
        ironic = rng.random(n) < self.settings.irony
        marked = rng.choice(3, n, p=(0.4, 0.4, 0.2))  # voice, face, both

        tokens, slots = self.draw_words(latent * np.where(ironic, -1, 1), lengths, part)
        affect = np.empty((n, 2))
        fields = {}
        for column, (modality, unmarked) in enumerate((('vision', 0), ('audio', 1))):
            mark = ironic & (marked != unmarked)
            structure, rng = self.stream('modality', column), self.stream(modality, part)
            marks = self.settings.irony_mark * mark
            fields[modality], affect[:, column] = draw_features(
                modality, latent, video, lengths, marks, self.settings, structure, rng
            )
            if modality == 'audio' and name == 'train':
                add_bad_points(fields['audio'], lengths, rng)
        fields['text'] = self.look_up_vectors(tokens)
        fields['labels'] = ratings.mean(axis=1).astype(np.float32).reshape(n, 1, 1)
        number = video + sum(self.settings.videos[:part])
        segment = np.arange(n) - np.searchsorted(video, video)
        fields['id'] = [f'synthetic{v:03d}[{s}]' for v, s in zip(number, segment, strict=True)]
        fields['raw_text'] = [' '.join(self.vocabulary[0][t] for t in row) for row in tokens]
        return fields, LatentVariables(latent, ironic, affect, *slots)

    def draw_words(
        self, expressed: np.ndarray, lengths: np.ndarray, part: int
    ) -> tuple[list[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The words of N utterances, and which of them are sentiment words.

        `expressed` (N,) is the sentiment that the words express, `lengths` (N,) the number of
        words, `part` the number of the split. Returns the words of each utterance as indices into
        the vocabulary, and `slot_owner`, `slot_value`, `slot_wording` of `LatentVariables`.
        """
        rng, settings = self.stream('words', part), self.settings
        tokens, frequencies, _ = self.vocabulary
        _, valences = self.lexicon
        n_filler, first_word = len(frequencies), len(tokens) - len(valences)
        shares = (settings.negation, INTENSIFIED, DIMINISHED)
        counts = (0, len(words.NEGATORS), len(words.INTENSIFIERS), len(words.DIMINISHERS))
        first_modifier = n_filler + np.cumsum(counts) - np.array(counts)

        utterances, owner, value, wordings = [], [], [], []
        for i, length in enumerate(lengths):
            row = rng.choice(n_filler, length, p=frequencies)
            free = np.ones(length, bool)
            for place in rng.permutation(length)[
                : rng.poisson(settings.slots + settings.slots_per_word * length)
            ]:
                wording = rng.choice(4, p=(1 - sum(shares), *shares))
                width = 1 if wording == 0 else 2
                begin = place - width + 1
                if begin < 0 or not free[begin : place + 1].all():
                    continue
                free[begin : place + 1] = False
                aim = (expressed[i] + rng.normal(0, settings.slot_noise)) / GAINS[wording]
                closeness = np.exp(-0.5 * ((valences - aim) / 0.3) ** 2) + 1e-9
                word = rng.choice(len(valences), p=closeness / closeness.sum())
                row[place] = first_word + word
                if width == 2:
                    row[begin] = first_modifier[wording] + rng.integers(counts[wording])
                owner.append(i)
                value.append(GAINS[wording] * valences[word])
                wordings.append(wording)
            utterances.append(row)
        return utterances, (np.array(owner, int), np.array(value), np.array(wordings, int))

    def look_up_vectors(self, tokens: list[np.ndarray]) -> np.ndarray:
        """Word vectors of N utterances, padded with zeros at the front: float32 (N, 50, 300)."""
        vectors = self.vocabulary[2].astype(np.float32)
        text = np.zeros((len(tokens), STEPS, vectors.shape[1]), np.float32)
        for row, target in zip(tokens, text, strict=True):
            target[STEPS - len(row) :] = vectors[row]
        return text


@lru_cache
def invented_words(count: int) -> list[str]:
    """`count` distinct pronounceable words that mean nothing, the same ones every time."""
    real = {*words.POSITIVE, *words.NEGATIVE, *words.NEUTRAL}
    onsets = (*'bdfgklmnprstvz', 'br', 'dr', 'gl', 'kr', 'pl', 'st', 'tr')
    syllables = [onset + nucleus for onset in onsets for nucleus in (*'aeiou', 'ai', 'ou')]
    pairs = (first + second for first in syllables for second in syllables)
    made = sorted(word for word in pairs if word not in real)
    return [made[i] for i in np.random.default_rng(0).permutation(len(made))[:count]]


def make_standin(**settings) -> dict[str, dict]:
    """The stand-in as a dict in the format of `mosi_raw.pkl`; see `Settings` for the arguments.

    Each split holds `vision` (N, 50, 35), `text` (N, 50, 300), `audio` (N, 50, 74) and `labels`
    (N, 1, 1), float32, `id` and `raw_text`, lists of N strings. About 50 cells of the training
    audio are +-inf. The same arguments give the same arrays; ValueError for impossible ones.
    """
    world = World(Settings(**settings))
    return {name: world.split(name)[0] for name in SPLITS}


def write_standin(path: str | Path, **settings) -> None:
    """Write `make_standin(**settings)` to `path`, whole or not at all; OSError when it fails."""
    write_data(path, make_standin(**settings))


def ensure_synthetic() -> Path:
    """The path of the stand-in `synthetic`; made when it is missing, damaged or out of date."""
    code = [module.__file__ for module in (words, voice_and_face)]
    if not is_current(SYNTHETIC_PATH, [__file__, *code]):
        write_standin(SYNTHETIC_PATH)
    return SYNTHETIC_PATH


def main() -> None:
    """The command line: write the file where `ensure_synthetic` looks for it, and describe it."""
    argparse.ArgumentParser(
        prog='python -m msa_lab.data.synthetic',
        description=f'Write the synthetic stand-in to {SYNTHETIC_PATH} and say what it is.',
    ).parse_args()
    write_standin(SYNTHETIC_PATH)
    print(describe(SYNTHETIC_PATH))


if __name__ == '__main__':
    main()
