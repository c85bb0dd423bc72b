"""Which data file the lab runs on: the one that is named, the real one, or a stand-in."""

from pathlib import Path

from msa_lab.data.errors import DataError
from msa_lab.data.format import DEFAULT_PATH, DOWNLOAD_URL


def ensure_data(path: str | Path | None = None) -> Path:
    """The path of a data file that exists.

    `path` is that of a file, or the name of a stand-in, 'reviews' or 'synthetic'. Without one
    (None or '') it is `./mosi_raw.pkl` if that exists, else the stand-in `reviews`; where that
    cannot be built, one line on stdout says why, and it is the stand-in `synthetic`. A stand-in is
    made when it is missing or out of date; nothing is downloaded.

    Raises FileNotFoundError for a path that does not exist, DataError when 'reviews' was asked for
    and cannot be built.
    """
    # Imported here: `python -m msa_lab.data.synthetic` must not find itself imported already, and
    # whoever only reads a file need not wait for scipy.
    if path == 'synthetic':
        from msa_lab.data.synthetic import ensure_synthetic

        return ensure_synthetic()
    if path == 'reviews' or (not path and not Path(DEFAULT_PATH).is_file()):
        from msa_lab.data.reviews import ensure_reviews

        try:
            return ensure_reviews()
        except DataError as error:
            if path:
                raise
            print(f'{error}. Until then the lab runs on the stand-in "synthetic".')
            return ensure_data('synthetic')
    if path and Path(path).is_dir():
        raise DataError(f'{path} is a folder: name the file in it (MSA_DATA)')
    if path and not Path(path).is_file():
        raise FileNotFoundError(
            f'no data file {path}: correct the path (MSA_DATA), or leave it unset to use '
            f'{DEFAULT_PATH} or a stand-in; the real file is at {DOWNLOAD_URL}'
        )
    return Path(path or DEFAULT_PATH)
