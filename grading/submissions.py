"""What was handed in: which file of a student's folder is the lab's notebook, and what else is."""

import re
from dataclasses import dataclass
from pathlib import Path

from grading.tasks import NOTEBOOK, tasks

MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Submission:
    """A student's folder.

    `notebook` is the path of what is graded, or None; `name` is that file's name inside the folder.
    `others` are the other notebooks that were found, `beside` whatever else lies there.
    """

    student: str
    notebook: Path | None
    name: str
    others: tuple
    beside: tuple


def find(folder):
    """Every submission in `folder`, by name, and the names of the files that lie there loose.

    SystemExit says in one line that there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SystemExit(f'no folder {folder}: it should hold one folder per student')
    inside = visible(folder)
    found = [find_one(path) for path in inside if path.is_dir()]
    if not found:
        raise SystemExit(f'{folder} holds no folder; it should be <student>/{NOTEBOOK}')
    return found, [path.name for path in inside if not path.is_dir()]


def find_one(folder):
    """The submission in a student's folder.

    Browsers and learning platforms rename files and wrap them in folders. So without an
    EXP_MSA.ipynb, the one notebook that has the lab's cells is taken, at most one folder deeper.
    """
    top = visible(folder)
    deeper = [path for below in top if below.is_dir() for path in visible(below)]
    notebooks = [path for path in (*top, *deeper) if path.suffix == '.ipynb' and path.is_file()]
    if folder / NOTEBOOK in notebooks:
        chosen = folder / NOTEBOOK
    else:
        likely = [path for path in notebooks if is_lab(path)]
        chosen = likely[0] if len(likely) == 1 else None
    beside = set(top)
    if chosen:
        beside = beside.union(visible(chosen.parent)) - {chosen, chosen.parent}

    def names(paths):
        return tuple(path.relative_to(folder).as_posix() for path in sorted(paths))

    return Submission(
        student=folder.name,
        notebook=chosen,
        name=chosen.relative_to(folder).as_posix() if chosen else '',
        others=() if chosen else names(notebooks),
        beside=names(beside),
    )


def is_lab(path):
    """Whether a notebook has most of the lab's graded cells; read as bytes, it may be anything."""
    if path.stat().st_size > MAX_BYTES:
        return False
    names = re.findall(rb'"grade_id": *"([\w-]+)"', path.read_bytes())
    graded = {key.encode() for key in tasks()}
    return len(graded.intersection(names)) > len(graded) / 2


def visible(folder):
    """What lies in a folder, sorted, without what operating systems and Jupyter leave there."""
    hidden = ('.', '__MACOSX')
    return sorted(path for path in folder.iterdir() if not path.name.startswith(hidden))
