"""Vectors of words, counted from text alone: which words stand near which others.

Positive pointwise mutual information of words within four steps, reduced to 300 columns by a
truncated singular value decomposition (Levy, Goldberg and Dagan, TACL 2015). No label is read, so
nothing that a model has to predict is in the vectors. The sentences of the validation and test
splits are counted like all others, as GloVe has read them for CMU-MOSI or may have: that a word
occurs there, and beside which words, says nothing about how people rated the sentence.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from msa_lab.data.errors import DataError
from msa_lab.data.format import STEPS, WIDTHS
from msa_lab.data.words import split_words
from msa_lab.files.atomic import atomic_write

WINDOW = 4  # steps to either side; a neighbour at distance d counts 1 / d
FEWEST = 5  # a rarer word has too few neighbours for a vector of its own, and gets none
CONTEXT_POWER = 0.75  # makes rare neighbours count less (Levy, Goldberg and Dagan, section 3.1)


class Encoded(NamedTuple):
    """A sentence as the text modality has it.

    `text` is float32 (50, 300) with padding at the front, `words` are the words of its last steps,
    `unknown` those that have no vector: their steps are zero.
    """

    text: np.ndarray
    words: list[str]
    unknown: list[str]


class WordVectors:
    """Words, the most frequent first, and their vectors, float32 (V, 300)."""

    def __init__(self, words: Iterable[str], vectors: np.ndarray):
        self.words = tuple(words)
        self.vectors = vectors
        self.index = {word: row for row, word in enumerate(self.words)}

    def encode(self, sentence: str) -> Encoded:
        """The first 50 words of a sentence that somebody typed; punctuation is left out."""
        words = split_words(sentence)[:STEPS]
        text = np.zeros((STEPS, self.vectors.shape[1]), np.float32)
        for step, word in enumerate(words, start=STEPS - len(words)):
            if word in self.index:
                text[step] = self.vectors[self.index[word]]
        return Encoded(text, words, [word for word in words if word not in self.index])

    def save(self, path: Path) -> None:
        """Write the words and vectors to `path` (.npz), whole or not at all."""
        with atomic_write(path) as file:
            np.savez(file, words=np.array(self.words), vectors=self.vectors)

    @classmethod
    def load(cls, path: Path) -> 'WordVectors':
        """Read what `save` wrote; DataError, one line, for a file that is missing or damaged."""
        try:
            with path.open('rb') as file, np.load(file, allow_pickle=False) as stored:
                words, vectors = stored['words'].tolist(), stored['vectors']
        except (OSError, ValueError, LookupError, EOFError, TypeError, BadZipFile) as error:
            raise DataError(
                f'{path}: cannot be read ({error!r:.80}); it is written with the stand-in '
                f'"reviews": run "python -m msa_lab.data.reviews"'
            ) from None
        return cls(words, vectors)


def make_vectors(sentences: list[str]) -> WordVectors:
    """Vectors of the words that occur `FEWEST` times or more in some sentences.

    The same sentences give the same vectors. M(w, c) is the count of word c within `WINDOW` steps
    of word w, weighted by 1 / distance. A cell of the table is max(0, log(P(c | w) / P(c))), where
    P(c) is taken to the power 0.75 and normalised. The vector of a word is its row of U sqrt(S),
    with U S V^T the decomposition of the table.
    """
    tokens = [split_words(sentence) for sentence in sentences]
    frequency = Counter(chain.from_iterable(tokens))
    words = [word for word, count in frequency.items() if count >= FEWEST]
    words.sort(key=lambda word: (-frequency[word], word))
    index = {word: row for row, word in enumerate(words)}
    gap = [None] * WINDOW  # between sentences, so that no word has neighbours in another one
    text = np.array([index.get(word, -1) for row in tokens for word in (*row, *gap)])

    size = (len(words), len(words))
    counts = sparse.csr_matrix(size)
    for distance in range(1, WINDOW + 1):
        left, right = text[:-distance], text[distance:]
        both = (left >= 0) & (right >= 0)
        cells = left[both], right[both]
        pairs = sparse.coo_matrix((np.full(len(cells[0]), 1 / distance), cells), size)
        counts = counts + pairs + pairs.T
    total = np.asarray(counts.sum(axis=1)).ravel()
    context = total**CONTEXT_POWER / (total**CONTEXT_POWER).sum()
    counts = counts.tocoo()
    information = np.log(counts.data / total[counts.row] / context[counts.col])
    kept = information > 0
    cells = counts.row[kept], counts.col[kept]
    table = sparse.csr_matrix((information[kept].astype(np.float32), cells), size)
    rank = min(WIDTHS['text'], len(words) - 1)
    with threadpool_limits(1):  # beside other work a second thread only waits; and so the last bits
        left, singular, _ = randomized_svd(table, rank, n_iter=4, random_state=0)
    vectors = np.zeros((len(words), WIDTHS['text']), np.float32)
    vectors[:, :rank] = left * np.sqrt(singular)
    return WordVectors(words, vectors)


@lru_cache(maxsize=1)
def load_vectors(path: Path, _mtime_ns: int) -> WordVectors:
    """`WordVectors.load`, kept until the file changes."""
    return WordVectors.load(path)
