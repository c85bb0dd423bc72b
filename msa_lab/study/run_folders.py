"""The folder of a run: filled under another name, renamed when complete, checked when read.

Two studies that need the same run at once both do it, in different folders, and the result of the
first to finish is kept. Whichever process is killed, the folder of a run is complete or not there.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd

CHECKPOINT, RESULT, UNFINISHED = 'best_model.pth', 'result.json', '.unfinished'
PREDICTIONS = 'predictions.csv'
SCORES = 'y_true', 'y_pred'
# Nothing shows whether the process of an unfinished run was killed or is still training. So its
# folder stays until no checkpoint was written for a day: no training of this lab takes as long.
ABANDONED_SECONDS = 24 * 3600


def read_row(folder: Path) -> dict | None:
    """The row of the finished run in a folder; None if there is none or its files are damaged.

    The columns of the predictions stand in the row as arrays (N,).
    """
    try:
        result = json.loads((folder / RESULT).read_text(encoding='utf-8'))
        if result['sha256'] != _checksum(result['row'], folder):
            return None
        # As text: numbers keep every digit, and a video may be called 'NA'.
        text = pd.read_csv(folder / PREDICTIONS, dtype=str, keep_default_na=False)
        numbers = {name: np.array([float(x or 'nan') for x in text[name]]) for name in SCORES}
        return result['row'] | {'video': np.array(list(text['video'])), **numbers}
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def working_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to do a run in, whose result is to be kept in `folder`.

    It is removed after the `with` block, unless it was published.
    """
    working = _beside(folder)
    working.mkdir(parents=True)
    try:
        yield working
    finally:
        shutil.rmtree(working, ignore_errors=True)


def publish(row: dict, predictions: pd.DataFrame, working: Path, folder: Path) -> dict:
    """Write row and predictions into the folder `working`, rename that to `folder`; read the row.

    If another study has published the same run in the meantime, its result is kept, and its row
    returned. A damaged result of this run is replaced. Raises OSError when the run cannot be
    written.
    """
    predictions.to_csv(working / PREDICTIONS, index=False)
    result = {'row': row, 'sha256': _checksum(row, working)}
    (working / RESULT).write_text(json.dumps(result), encoding='utf-8')
    try:
        working.rename(folder)
    except OSError:
        if (finished := read_row(folder)) is not None:
            return finished
        damaged = _beside(folder)
        with suppress(FileNotFoundError):  # another study has moved it
            folder.rename(damaged)  # in one step, so that nobody finds it half removed
        working.rename(folder)
        shutil.rmtree(damaged, ignore_errors=True)
    return read_row(folder)


def remove_abandoned(runs_dir: Path) -> None:
    """Remove the unfinished runs that wrote no checkpoint for a day; their process was killed."""
    for folder in (runs_dir / UNFINISHED).glob('*'):
        try:
            age = time.time() - folder.stat().st_mtime
        except FileNotFoundError:  # its run has just finished
            continue
        if age > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _beside(folder):
    """A path that nothing else has, in the folder of the unfinished runs."""
    return folder.parent / UNFINISHED / f'{folder.name}.{uuid.uuid4().hex}'


def _checksum(row, folder):
    """A SHA-256 over a row, its checkpoint and its predictions, as hexadecimal digits."""
    checksum = hashlib.sha256(json.dumps(row).encode())
    for name in (CHECKPOINT, PREDICTIONS):
        checksum.update((folder / name).read_bytes())
    return checksum.hexdigest()
