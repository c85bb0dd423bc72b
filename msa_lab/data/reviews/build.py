"""From sentences and ratings to a file in the format of `mosi_raw.pkl`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msa_lab.data import voice_and_face
from msa_lab.data import words as words_module
from msa_lab.data.errors import DataError
from msa_lab.data.format import LABEL_RATERS, SPLITS
from msa_lab.data.made_file import is_current, is_newer, write_data
from msa_lab.data.reviews import source as source_module
from msa_lab.data.reviews import word_vectors
from msa_lab.data.reviews.source import (
    ARCHIVE,
    COMMAND,
    MOST_RATERS,
    Snippet,
    Source,
    read_source,
    verify,
)
from msa_lab.data.reviews.word_vectors import Encoded, WordVectors, load_vectors, make_vectors
from msa_lab.data.voice_and_face import Strengths, add_bad_points, draw_features

REVIEWS_PATH = Path('data/reviews.pkl')
# What the vectors and the whole file are made by: when it changes, they are made again.
VECTOR_CODE = [module.__file__ for module in (source_module, word_vectors, words_module)]
FILE_CODE = [__file__, voice_and_face.__file__, *VECTOR_CODE]

SCALE = 0.75  # from scores of -4 to 4 to those of CMU-MOSI, -3 to 3


@dataclass(frozen=True)
class Settings(Strengths):
    """The arguments of `make_reviews`. `Strengths` are those of the simulated voice and face.

    `videos` and `utterances` are the sizes of the splits train, valid and test. The default seed is
    the lab's draw of sentences and raters; `docs/stand-ins.md` says why it is this one.
    """

    seed: int = 1
    videos: tuple[int, int, int] = (52, 10, 31)
    utterances: tuple[int, int, int] = (1284, 229, 686)


def make_reviews(source: Source, vectors: WordVectors, settings: Settings) -> dict[str, dict]:
    """The stand-in `reviews` as a dict in the format of `mosi_raw.pkl`.

    Real: the sentences (`raw_text`), and the ratings: `ratings` (N, R) has the scores of each
    sentence on the scale of -3 to 3, in random order, nan behind the last one. The mean of the
    first five is the label, a multiple of 0.2; the other raters are not in it.
    From text alone: the word vectors, `text`.
    Simulated: `vision` and `audio`, which follow the mean of the raters outside the label, and the
    speakers, among whom the sentences are dealt at random.

    Raises ValueError for sizes that the source or the settings cannot give.
    """
    sizes, videos = settings.utterances, settings.videos
    if sum(sizes) > len(source.snippets):
        raise ValueError(f'{sum(sizes)} utterances, but the source has {len(source.snippets)}')
    for n_videos, n in zip(videos, sizes, strict=True):
        if not 1 <= n_videos <= n:
            raise ValueError(f'{n} utterances cannot come from {n_videos} videos')
    rng = np.random.default_rng([settings.seed, 0])
    chosen = rng.permutation(len(source.snippets))[: sum(sizes)]
    parts = np.split(chosen, np.cumsum(sizes)[:-1])
    content = {}
    for part, (name, rows) in enumerate(zip(SPLITS, parts, strict=True)):
        snippets = [source.snippets[row] for row in rows]
        content[name] = _make_split(part, snippets, vectors, settings)
    return content


def _make_split(part, snippets, vectors, settings):
    """The fields of the split of that number."""
    rng = np.random.default_rng([settings.seed, 1, part])
    n, n_videos = len(snippets), settings.videos[part]
    dealt = rng.integers(n_videos, size=n - n_videos)
    video = np.sort(np.concatenate([np.arange(n_videos), dealt]))  # each has at least one
    number = video + sum(settings.videos[:part])
    segment = np.arange(n) - np.searchsorted(video, video)
    ratings = draw_ratings(snippets, rng)
    encoded = [vectors.encode(snippet.text) for snippet in snippets]
    lengths = np.array([len(words) for _, words, _ in encoded])
    fields = {
        'text': np.stack([text for text, _, _ in encoded]),
        'labels': ratings[:, :LABEL_RATERS].mean(axis=1).reshape(n, 1, 1),
        'id': [f'reviews{v:03d}[{s}]' for v, s in zip(number, segment, strict=True)],
        'raw_text': [snippet.text for snippet in snippets],
        'ratings': ratings,
    }
    shown = np.nanmean(ratings[:, LABEL_RATERS:], axis=1)
    for stream, modality in enumerate(('vision', 'audio'), start=2):
        structure = np.random.default_rng([settings.seed, stream])
        rng = np.random.default_rng([settings.seed, stream, part])
        fields[modality], _ = draw_features(
            modality, shown, video, lengths, 0.0, settings, structure, rng
        )
        if modality == 'audio' and part == 0:
            add_bad_points(fields['audio'], lengths, rng)
    return fields


def draw_ratings(snippets: list[Snippet], rng: np.random.Generator) -> np.ndarray:
    """The scores of N sentences on the scale of -3 to 3, each row in random order: float32 (N, R).

    A score s becomes the integer nearest to 0.75 s (of two equally near ones the even one). R is
    `MOST_RATERS`; shorter rows end in nan.
    """
    ratings = np.full((len(snippets), MOST_RATERS), np.nan, np.float32)
    for row, snippet in zip(ratings, snippets, strict=True):
        row[: len(snippet.scores)] = rng.permutation(np.rint(SCALE * np.array(snippet.scores)))
    return ratings


def vectors_path(path: str | Path) -> Path:
    """Where the words and vectors of the data file at `path` lie: in the same folder."""
    return Path(path).with_name('reviews-words.npz')


def write_reviews(path: str | Path = REVIEWS_PATH, **settings) -> Source:
    """Build the file from the archive that `fetch` left, and its words and vectors beside it.

    `settings` are those of `Settings`. The vectors are kept, so that a second file with other
    settings in the same folder takes less time. Returns what was read from the archive. DataError
    without the archive, ValueError for impossible settings, OSError when the disk is full.
    """
    if not ARCHIVE.is_file():
        raise DataError(f'no {ARCHIVE}: "{COMMAND}" fetches it')
    verify(ARCHIVE)
    source = read_source(ARCHIVE)
    vectors = _find_vectors(vectors_path(path), source)
    write_data(path, make_reviews(source, vectors, Settings(**settings)))
    return source


def _find_vectors(kept, source):
    """The vectors in the file `kept`, which is written anew unless it is current and whole."""
    if is_newer(kept, [ARCHIVE, *VECTOR_CODE]):
        try:
            return WordVectors.load(kept)
        except DataError:  # damaged
            pass
    vectors = make_vectors([snippet.text for snippet in source.snippets] + source.other_texts)
    kept.parent.mkdir(parents=True, exist_ok=True)
    vectors.save(kept)
    return vectors


def ensure_reviews() -> Path:
    """The path of the stand-in `reviews`; it is built when missing, damaged or older than its code.

    Nothing is downloaded: DataError, one line, when the archive has not been fetched.
    """
    if not is_current(REVIEWS_PATH, FILE_CODE) or not vectors_path(REVIEWS_PATH).is_file():
        write_reviews()
    return REVIEWS_PATH


def encode(sentence: str, path: str | Path = REVIEWS_PATH) -> Encoded:
    """A sentence as the text modality of the data file at `path`; see `Encoded`.

    DataError when the words of a build do not lie beside the file.
    """
    kept = vectors_path(path)
    if not kept.is_file():
        raise DataError(f'no {kept}: the words of the stand-in "reviews" are not there')
    return load_vectors(kept, kept.stat().st_mtime_ns).encode(sentence)
