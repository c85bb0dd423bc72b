"""Files that are never left half written."""

import glob
import os
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_SECONDS = 3600  # no file here takes as long to write


@contextmanager
def atomic_write(path):
    """A binary file to write in the `with` block; it takes the name `path` when it is complete.

    It stands beside `path` until everything is on the disk. So whatever happens (an exception, a
    full disk, `kill -9`, two writers at once), `path` is the old file or a new one, whole. What
    killed writers left beside it is removed after an hour. An OSError says that nothing is lost.
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
    for left in path.parent.glob(f'.{glob.escape(path.name)}.*.tmp'):
        with suppress(FileNotFoundError):  # another process may tidy up as well
            if left.stat().st_mtime < time.time() - STALE_SECONDS:
                left.unlink()
