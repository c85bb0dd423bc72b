"""An archive in the form of the source of `reviews`, with sentences that were made up for it."""

import io
import tarfile
from functools import cache
from pathlib import Path

import numpy as np

from msa_lab.data.reviews import source
from msa_lab.data.reviews.source import MOVIES, OTHERS, Snippet

GOOD = 'wonderful lovely bright clever warm charming'.split()
BAD = 'dreadful boring clumsy noisy sloppy grey'.split()
PLAIN = (
    "the a this that film story music actor ending scene and but was were it's isn't very rather "
    'almost always never seen felt looked with without of in on'
).split()


@cache
def make_snippets(count: int = 40, seed: int = 0) -> tuple[Snippet, ...]:
    """Different sentences of 3 to 60 words, each with the scores of 15 to 29 people."""
    rng = np.random.default_rng(seed)
    snippets = {}
    while len(snippets) < count:
        n = int(rng.choice((rng.integers(3, 25), 60), p=(0.95, 0.05)))
        words = [str(rng.choice((GOOD, BAD, PLAIN, PLAIN)[rng.integers(4)])) for _ in range(n)]
        score = 0.7 * (sum(w in GOOD for w in words) - sum(w in BAD for w in words))
        scores = np.clip(np.rint(score + rng.normal(0, 2.0, rng.integers(15, 30))), -4, 4)
        text = ' '.join(words).capitalize() + ' .'
        snippets[text] = Snippet(text, tuple(int(s) for s in scores))
    return tuple(snippets.values())


def make_lines(snippets) -> tuple[list[bytes], list[bytes]]:
    """The lines of the file of sentences and those of the file of ratings."""
    texts, ratings = [], []
    for number, (text, scores) in enumerate(snippets, start=1):
        mean = np.mean(scores)
        texts.append(f'{number}_1\t{mean:.6f}\t{text}'.encode())
        ratings.append(f'{number}_1\t{mean:.6f}\t{np.std(scores):.6f}\t{list(scores)}'.encode())
    return texts, ratings


def pack(files: dict[str, bytes]) -> bytes:
    """A tar.gz that holds these files; a name with a slash behind it is a folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz') as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.type = tarfile.DIRTYPE if name.endswith('/') else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def make_archive(texts: list[bytes], ratings: list[bytes], end: bytes = b'\n') -> bytes:
    """The archive with these lines about movies, and two sentences in each of the other corpora."""
    files = {
        f'hutto_ICWSM_2014/{MOVIES}_GroundTruth.txt': end.join([*texts, b'']),
        f'hutto_ICWSM_2014/{MOVIES}_anonDataRatings.txt': end.join([*ratings, b'']),
    }
    for corpus in OTHERS:
        lines = [f'{n}\t1.5\tThe {corpus} number {n} was seen'.encode() for n in (1, 2)]
        files[f'hutto_ICWSM_2014/{corpus}_GroundTruth.txt'] = end.join(lines)
    inner = pack(files)
    return pack({'x/setup.py': b'', 'x/additional_resources/hutto_ICWSM_2014.tar.gz': inner})


def place_archive(monkeypatch, content: bytes) -> None:
    """Put an archive where the lab looks for it, and have the lab take it for the right one."""
    expect_archive(monkeypatch, content)
    source.ARCHIVE.parent.mkdir(exist_ok=True)
    source.ARCHIVE.write_bytes(content)


def expect_archive(monkeypatch, content: bytes) -> None:
    """Have the lab take these bytes, and no others, for the archive."""
    monkeypatch.setattr(source, 'SHA256', source.hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(source, 'SIZE', len(content))


def write_source(path: Path, content: bytes) -> Path:
    """Write an archive to any path, for `read_source`."""
    path.write_bytes(content)
    return path
