"""What is graded: the tasks of the complete notebook, read from the metadata of its cells."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOK = 'EXP_MSA.ipynb'


@dataclass(frozen=True)
class Task:
    """One graded task.

    `name` is 'TODO 3' or '分析 2.1', `title` a few words, `points` the most that it can give;
    `written` says whether a human reads it; `cells` are the ids of the code cells in which it is
    solved; `scheme` is the Markdown of a written answer's cell: question, reference answer, mark
    scheme.
    """

    name: str
    title: str
    points: int
    written: bool
    cells: tuple[str, ...]
    scheme: str


@cache
def tasks() -> dict[str, Task]:
    """Every task of the complete notebook, in order: {name of the graded cell: Task}."""
    return tasks_of(nbformat.read(ROOT / NOTEBOOK, as_version=4))


def tasks_of(notebook: nbformat.NotebookNode) -> dict[str, Task]:
    """The graded cells of a notebook, {grade_id: Task}; KeyError without `task` metadata."""
    found = {}
    for cell in notebook.cells:
        info = cell.metadata.get('nbgrader', {})
        if info.get('grade'):
            written, about = info['solution'], cell.metadata['task']
            number = about['name'].split()[1]
            mark = f'### BEGIN SOLUTION {number} '
            solved_in = () if written else tuple(c.id for c in notebook.cells if mark in c.source)
            scheme = re.sub(r'<!-- ### .*? -->', '', cell.source) if written else ''
            found[info['grade_id']] = Task(
                about['name'], about['title'], info['points'], written, solved_in, scheme
            )
    return found
