"""Data files that the lab makes itself: written whole, made again when they are out of date."""

import pickle
from pathlib import Path

from msa_lab.data.errors import DataError
from msa_lab.data.mosi_file import open_pickle
from msa_lab.data.structure import check_structure
from msa_lab.files.atomic import atomic_write


def is_newer(path: Path, sources: list[str | Path]) -> bool:
    """Whether the file at `path` exists and is not older than any of the `sources`, also files."""
    newest = max(Path(source).stat().st_mtime for source in sources)
    return path.is_file() and path.stat().st_mtime >= newest


def is_current(path: Path, sources: list[str | Path]) -> bool:
    """Whether the data file at `path` is as new as its sources (the code, for example) and whole.

    A file that is damaged is named on stdout.
    """
    if not is_newer(path, sources):
        return False
    try:
        with open_pickle(path) as content:
            check_structure(content, path.name, path.stat().st_size)
    except DataError as error:
        print(f'{error}; it is made anew')
        return False
    return True


def write_data(path: str | Path, content: dict[str, dict]) -> None:
    """Write a data set in the format of `mosi_raw.pkl`, whole or not at all; OSError if it fails.

    `content` is {split: {field: value}}.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        pickle.dump(content, file, protocol=4)
