"""The fill-in edition: `python -m grading.release` (`make student`) writes build/student/, zipped.

The complete notebook is the source. Its cells carry nbgrader's metadata; what a student writes
stands between `### BEGIN SOLUTION n hint` and `### END SOLUTION`, and cells tagged
`complete-edition` are left out. nbgrader does the rest.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
    SaveCells,
)
from traitlets.config import Config

from grading.tasks import NOTEBOOK, ROOT

ASSIGNMENT = 'msa'
COMPLETE_ONLY = 'complete-edition'
STUDENT_README = ROOT / 'grading' / 'student_README.md'


class FillIn(ClearSolutions):
    """Every solution becomes its TODO: the hint as a comment, and an error that says its number."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict, cell_index: int
    ) -> tuple[NotebookNode, dict]:
        """Replace the solutions of one cell; a written answer becomes a line that asks for it."""
        marks = re.compile(r'^( *)### BEGIN SOLUTION ([\d.]+) (.*)$', re.MULTILINE)
        cell.source = marks.sub(r'\1# TODO \2：\3\n\1### BEGIN SOLUTION', cell.source)
        if cell.cell_type == 'markdown':
            self.text_stub = '（在这里写下你的分析。）'
        self.code_stub = {'python': 'raise NotImplementedError()'}
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        stub = re.compile(
            r'^( *# TODO ([\d.]+)：.*\n *raise NotImplementedError)\(\)$', re.MULTILINE
        )
        cell.source = stub.sub(r"\1('TODO \2 还没有完成')", cell.source)
        return cell, resources


def course_config(folder: str | Path) -> Config:
    """nbgrader's configuration of a course in `folder`."""
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.course_id = ASSIGNMENT
    steps = [LockCells, FillIn, ClearOutput, CheckCellMetadata, ComputeChecksums, SaveCells]
    config.GenerateAssignment.preprocessors = steps
    return config


def nbgrader_api(config: Config) -> NbGraderAPI:
    """nbgrader's API. It calls `alembic`, so the folder of this Python is put on the PATH."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ['PATH'].split(os.pathsep):
        os.environ['PATH'] = os.pathsep.join((beside, os.environ['PATH']))
    return NbGraderAPI(config=config)


def make_course(
    folder: str | Path, prepare: Callable[[NotebookNode], None] = lambda notebook: None
) -> Path:
    """Make a course of nbgrader in `folder`: a gradebook and, in release/, the fill-in notebook.

    `prepare(notebook)` may change the complete notebook in place before its solutions are removed.
    Returns the fill-in notebook's path.
    """
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    notebook.cells = [c for c in notebook.cells if COMPLETE_ONLY not in c.metadata.get('tags', [])]
    prepare(notebook)
    source = Path(folder) / 'source' / ASSIGNMENT / NOTEBOOK
    source.parent.mkdir(parents=True)
    nbformat.write(notebook, source)
    answer = nbgrader_api(course_config(folder)).generate_assignment(ASSIGNMENT)
    if not answer['success']:
        if 'KeyboardInterrupt' in answer['error']:  # nbgrader catches that too
            raise KeyboardInterrupt
        raise RuntimeError(f'nbgrader could not make the fill-in edition: {answer}')
    return Path(folder) / 'release' / ASSIGNMENT / NOTEBOOK


def copy_lab(folder: Path) -> None:
    """Copy what the notebook needs beside it to `folder`, without what gives a solution away."""
    skip = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / 'msa_lab', folder / 'msa_lab', ignore=skip)
    (folder / 'images').mkdir()
    for name in ('GeneralFramework.jpg', 'ModelGraph.png'):
        shutil.copy(ROOT / 'images' / name, folder / 'images')


def release(folder: str | Path = ROOT / 'build' / 'student') -> Path:
    """Write the fill-in edition to `folder`, which is emptied first, and to a zip beside it.

    Returns the zip's path.
    """
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as course:
        shutil.copy(make_course(course), folder)
    copy_lab(folder)
    shutil.copy(ROOT / 'requirements.txt', folder)
    shutil.copy(STUDENT_README, folder / 'README.md')
    return Path(shutil.make_archive(str(folder), 'zip', folder.parent, folder.name))


if __name__ == '__main__':
    print(release())
