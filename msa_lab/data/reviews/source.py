"""The source of the sentences and their ratings: fetched by pip, verified, read line by line.

It is the source distribution of vaderSentiment 3.3.2 (MIT license), which holds the data of Hutto
and Gilbert (ICWSM 2014): four corpora of sentences, each sentence with the scores that 14 or more
people gave it. None of the package's code is used, and nothing of it is kept but the archive.
"""

import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from msa_lab.data.errors import DataError
from msa_lab.files.atomic import atomic_write

ARCHIVE = Path('data/vaderSentiment-3.3.2.tar.gz')
SHA256 = '5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9'
SIZE = 2_466_783  # bytes
CITATION = (
    'C. J. Hutto and E. Gilbert: VADER: A Parsimonious Rule-based Model for Sentiment Analysis of '
    'Social Media Text. ICWSM 2014.'
)
COMMAND = 'python -m msa_lab.data.reviews'

INNER = 'hutto_ICWSM_2014.tar.gz'  # an archive in the archive
MOVIES = 'movieReviewSnippets'
OTHERS = ('amazonReviewSnippets', 'nytEditorialSnippets', 'tweets')  # for the word vectors alone
SCORES = range(-4, 5)
FEWEST_RATERS, MOST_RATERS = 14, 29  # of a sentence; five make the label, nine more a human row


class Snippet(NamedTuple):
    """A sentence of a movie review and the scores, from -4 to 4, that people gave it."""

    text: str
    scores: tuple[int, ...]


@dataclass
class Source:
    """What the archive holds.

    `snippets` are the sentences of movie reviews that can be used, in the order of the file;
    `other_texts` the sentences of the three other corpora; `skipped` counts the lines that were
    left out, by reason.
    """

    snippets: list[Snippet] = field(default_factory=list)
    other_texts: list[str] = field(default_factory=list)
    skipped: Counter = field(default_factory=Counter)


def fetch() -> Path:
    """Have pip download the archive to `ARCHIVE`, unless it is there; returns that path.

    pip uses the mirror and the proxy that the user has set, and compares the SHA-256 before it
    opens anything. Raises DataError, one line, when there is no network or something else came.
    """
    if ARCHIVE.is_file():
        verify(ARCHIVE)
        return ARCHIVE
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, 'wanted.txt')
        wanted.write_text(f'vaderSentiment==3.3.2 --hash=sha256:{SHA256}\n')
        options = ['--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '7']
        target = ['--no-deps', '--no-binary', 'vaderSentiment', '--dest', folder, '-r', wanted]
        pip = [sys.executable, '-m', 'pip', 'download', *options, *target]
        try:
            done = subprocess.run(
                pip, capture_output=True, text=True, errors='replace', timeout=300
            )
        except subprocess.TimeoutExpired:
            raise DataError(_not_fetched('pip did not finish within five minutes')) from None
        downloaded = Path(folder, ARCHIVE.name)
        if done.returncode or not downloaded.is_file():
            raise DataError(_not_fetched(_reason(done.stderr)))
        verify(downloaded)
        ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(ARCHIVE) as file:
            file.write(downloaded.read_bytes())
    return ARCHIVE


def _not_fetched(reason):
    return (
        f'the sentences of the stand-in "reviews" could not be fetched: {reason}; check the '
        f'network and pip\'s settings, then run "{COMMAND}"'
    )


def _reason(stderr):
    """What pip complains about, in one line."""
    if 'DO NOT MATCH THE HASHES' in stderr:
        return 'what came is another file (a cut-off download, or the page of a proxy)'
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('ERROR:')]
    if not lines:
        return 'pip gives no reason'
    # "No module named pip", for example, stands there without ERROR.
    return f'pip says "{(errors or lines)[-1].removeprefix("ERROR:").strip()[:200]}"'


def verify(path: Path) -> None:
    """Raise DataError, one line, unless the file at `path` is the archive that is expected."""
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found == SHA256:
        return
    if content.lstrip()[:1] == b'<':
        problem = 'is a web page (of a proxy?) and not the archive'
    elif len(content) < SIZE:
        problem = f'is cut off: {len(content):,} of {SIZE:,} bytes'
    else:
        problem = f'has changed: its SHA-256 is {found[:12]}... and not {SHA256[:12]}...'
    raise DataError(f'{path}: {problem}; delete it and run "{COMMAND}" to fetch it again')


def read_source(path: Path) -> Source:
    """Read the four corpora from the archive at `path`, in memory; nothing is unpacked on the disk.

    The reading is strict. A line is skipped, and counted, when it is not UTF-8, has too few or too
    many fields, scores that are no integers from -4 to 4, too few or too many of them, a mean that
    is not theirs, an id that is not in both files or came before, or a sentence without words or
    that came before. A byte order mark is dropped. Raises DataError for an archive that cannot be
    read.
    """
    try:
        with tarfile.open(path) as outer:
            names = [name for name in outer.getnames() if name.endswith(f'/{INNER}')]
            inner = outer.extractfile(names[0]).read()
        with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
            texts = {
                corpus: _member(archive, f'{corpus}_GroundTruth.txt')
                for corpus in (MOVIES, *OTHERS)
            }
            ratings = _member(archive, f'{MOVIES}_anonDataRatings.txt')
    except (tarfile.TarError, zlib.error, EOFError, OSError, LookupError, AttributeError) as error:
        raise DataError(
            f'{path}: not the archive of vaderSentiment ({error!r:.80}); delete it and run '
            f'"{COMMAND}" to fetch it again'
        ) from None
    source = Source()
    scores = dict(_read_ratings(ratings, source.skipped))
    seen = set()
    for name, mean, text in _read_texts(texts[MOVIES], source.skipped):
        numbers = scores.pop(name, None)
        if numbers is None:
            source.skipped['a sentence without usable scores'] += 1
        elif not _is_mean(mean, numbers):
            source.skipped['a mean that is not that of the scores'] += 1
        elif text in seen:
            source.skipped['a sentence that came before'] += 1
        else:
            source.snippets.append(Snippet(text, numbers))
            seen.add(text)
    if scores:
        source.skipped['scores without a usable sentence'] += len(scores)
    for corpus in OTHERS:
        source.other_texts += [text for _, _, text in _read_texts(texts[corpus], source.skipped)]
    return source


def _member(archive, name):
    """The bytes of the file of that name in the archive; KeyError when it has none."""
    return archive.extractfile(f'{INNER.removesuffix(".tar.gz")}/{name}').read()


def _read_ratings(content, skipped) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(id, scores) of every usable line of a file of ratings; the others are counted."""
    for name, mean, _, scores in _split_lines(content, 4, skipped):
        if not re.fullmatch(r'\[-?\d+(, ?-?\d+)*\]', scores):
            skipped['scores that are no list of integers'] += 1
            continue
        numbers = tuple(int(number) for number in scores.strip('[]').split(','))
        if not all(number in SCORES for number in numbers):
            skipped['a score outside -4 to 4'] += 1
        elif not FEWEST_RATERS <= len(numbers) <= MOST_RATERS:
            skipped[f'not {FEWEST_RATERS} to {MOST_RATERS} scores'] += 1
        elif not _is_mean(mean, numbers):
            skipped['a mean that is not that of the scores'] += 1
        else:
            yield name, numbers


def _read_texts(content, skipped) -> Iterator[tuple[str, str, str]]:
    """(id, mean, sentence) of every usable line of a file of sentences; the others are counted."""
    for name, mean, text in _split_lines(content, 3, skipped):
        if not re.search(r'[^\W_]', text):
            skipped['a sentence without words'] += 1
        else:
            yield name, mean, text


def _split_lines(content, count, skipped) -> Iterator[list[str]]:
    """The fields of every line that has `count` of them and an id that did not come before."""
    seen = set()
    for line in content.removeprefix(b'\xef\xbb\xbf').splitlines():
        try:
            fields = [part.strip() for part in line.decode().split('\t')]
        except UnicodeDecodeError:
            skipped['not UTF-8'] += 1
            continue
        if len(fields) != count or not all(fields):
            skipped['too few or too many fields'] += 1
        elif fields[0] in seen:
            skipped['an id that came before'] += 1
        else:
            seen.add(fields[0])
            yield fields


def _is_mean(text, numbers):
    """Whether a number in text is the mean of the numbers, to three decimals."""
    try:
        return abs(float(text) - sum(numbers) / len(numbers)) < 1e-3
    except ValueError:
        return False
