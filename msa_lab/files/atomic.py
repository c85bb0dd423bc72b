"""Writing files that are never left half written."""

import glob
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

STALE_SECONDS = 3600  # no file here takes as long to write


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to write in the `with` block; it takes the name `path` when it is complete.

    Until everything is on the disk it has another name, in the same folder. So whatever happens
    (an exception, a full disk, `kill -9`, two writers at once), `path` is the whole old file or a
    whole new one. Unfinished files that killed writers left there are removed after an hour.
    Raises OSError when the file cannot be written; the message says whether an older one stays.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.tmp')
    try:
        with unfinished.open('xb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        kept = ', the older file stays' if path.exists() else ''
        reason = error.strerror or error
        raise OSError(error.errno, f'{path} was not written{kept}: {reason}') from error
    finally:
        unfinished.unlink(missing_ok=True)
    for leftover in path.parent.glob(f'.{glob.escape(path.name)}.*.tmp'):
        with suppress(FileNotFoundError):  # another process may remove it as well
            if leftover.stat().st_mtime < time.time() - STALE_SECONDS:
                leftover.unlink()
