"""Which data file the lab runs on: the one that is named, the real one, or the stand-in."""

from pathlib import Path

from msa_lab.data.format import DEFAULT_PATH, DOWNLOAD_URL


def ensure_data(path: str | Path | None = None) -> Path:
    """The path of a data file that exists: `path`, the real file, or the stand-in.

    A `path` must exist; FileNotFoundError otherwise. Without one (None or '') the result is
    `./mosi_raw.pkl` if that exists, else the stand-in, which is generated when it is missing.
    """
    if path:
        if not Path(path).is_file():
            raise FileNotFoundError(
                f'no data file {path}: correct the path (MSA_DATA), or leave it unset to use '
                f'{DEFAULT_PATH} or the stand-in; the real file is at {DOWNLOAD_URL}'
            )
        return Path(path)
    if Path(DEFAULT_PATH).is_file():
        return Path(DEFAULT_PATH)
    # Imported here: `python -m msa_lab.data.synthetic` must not find itself imported already, and
    # whoever only reads a file need not wait for scipy.
    from msa_lab.data.synthetic import ensure_standin

    return ensure_standin()
