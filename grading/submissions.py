"""What was handed in: which file of a student's folder is the lab's notebook, and what else is."""

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from grading.tasks import NOTEBOOK, tasks

MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Submission:
    """What one student has handed in.

    Attributes:
        student: the name of the student's folder.
        notebook: the path of the notebook that is graded, or None if it cannot be told which.
        name: that file's name relative to the student's folder, '' if there is none.
        others: the notebooks that were found, if none of them is graded.
        beside: the other files and folders there.
    """

    student: str
    notebook: Path | None
    name: str
    others: tuple[str, ...]
    beside: tuple[str, ...]


def find_submissions(folder: str | Path) -> tuple[list[Submission], list[str]]:
    """Every submission in `folder`, and the names of the files that lie beside their folders.

    SystemExit says in one line that there is no submission.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SystemExit(f'no folder {folder}: it should hold one folder per student')
    inside = visible_paths(folder)
    found = [find_submission(path) for path in inside if path.is_dir()]
    if not found:
        raise SystemExit(f'{folder} holds no folder; it should be <student>/{NOTEBOOK}')
    return found, [path.name for path in inside if not path.is_dir()]


def find_submission(folder: Path) -> Submission:
    """The submission in a student's folder.

    Browsers and learning platforms rename files and wrap them in folders. So without an
    EXP_MSA.ipynb, the one notebook that has the lab's cells is taken, at most one folder deeper;
    where there is no notebook at all, the one zip file with such a notebook in it.
    """
    top = visible_paths(folder)
    deeper = [path for below in top if below.is_dir() for path in visible_paths(below)]
    notebooks = [path for path in (*top, *deeper) if path.suffix == '.ipynb' and path.is_file()]
    zips = [path for path in (*top, *deeper) if path.suffix.lower() == '.zip' and path.is_file()]
    if folder / NOTEBOOK in notebooks:
        chosen = folder / NOTEBOOK
    else:
        likely = [path for path in notebooks or zips if is_lab_notebook(path)]
        chosen = likely[0] if len(likely) == 1 else None
    beside = set(top)
    if chosen:
        beside = beside.union(visible_paths(chosen.parent)) - {chosen, chosen.parent}
    return Submission(
        student=folder.name,
        notebook=chosen,
        name=chosen.relative_to(folder).as_posix() if chosen else '',
        others=() if chosen else _names(notebooks, folder),
        beside=_names(beside, folder),
    )


def _names(paths, folder):
    return tuple(path.relative_to(folder).as_posix() for path in sorted(paths))


def is_lab_notebook(path: Path) -> bool:
    """Whether a file, or the one notebook in a zip file, has most of the lab's graded cells."""
    if path.stat().st_size > MAX_BYTES:
        return False
    content = path.read_bytes()
    if path.suffix.lower() == '.zip':
        return len(notebooks_in_zip(content)) == 1
    return is_lab_content(content)


def is_lab_content(content: bytes) -> bool:
    """Whether the bytes of a file have most of the lab's graded cells, by name or by cell id."""
    names = re.findall(rb'"(?:grade_id|id)": *"([\w-]+)"', content)
    graded = {key.encode() for key in tasks()}
    return len(graded.intersection(names)) > len(graded) / 2


def notebooks_in_zip(content: bytes) -> list[bytes]:
    """The contents of the lab's notebooks in the bytes of a zip file; [] where it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            notebooks = [
                entry
                for entry in archive.infolist()
                if entry.filename.endswith('.ipynb') and not entry.filename.startswith('__MACOSX')
            ]
            if sum(entry.file_size for entry in notebooks) > MAX_BYTES:
                return []
            inside = [archive.read(entry) for entry in notebooks]
    except Exception:  # damaged, encrypted, of an unknown method
        return []
    return [content for content in inside if is_lab_content(content)]


def visible_paths(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without what operating systems and Jupyter leave there."""
    hidden = ('.', '__MACOSX')
    return sorted(path for path in folder.iterdir() if not path.name.startswith(hidden))
