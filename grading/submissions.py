"""What was handed in: which file of a student's folder is the lab's notebook, and what else is."""

import re
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
    EXP_MSA.ipynb, the one notebook that has the lab's cells is taken, at most one folder deeper.
    """
    top = visible_paths(folder)
    deeper = [path for below in top if below.is_dir() for path in visible_paths(below)]
    notebooks = [path for path in (*top, *deeper) if path.suffix == '.ipynb' and path.is_file()]
    if folder / NOTEBOOK in notebooks:
        chosen = folder / NOTEBOOK
    else:
        likely = [path for path in notebooks if is_lab_notebook(path)]
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
    """Whether a file has most of the lab's graded cells. It need not be a notebook at all."""
    if path.stat().st_size > MAX_BYTES:
        return False
    names = re.findall(rb'"grade_id": *"([\w-]+)"', path.read_bytes())
    graded = {key.encode() for key in tasks()}
    return len(graded.intersection(names)) > len(graded) / 2


def visible_paths(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without what operating systems and Jupyter leave there."""
    hidden = ('.', '__MACOSX')
    return sorted(path for path in folder.iterdir() if not path.name.startswith(hidden))
