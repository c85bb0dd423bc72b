"""The regions of the notebook that students write, and the notebook with other bodies in them.

A region stands between `### BEGIN SOLUTION n hint` and `### END SOLUTION` in a code cell; n is its
task, '4' or '10.1'. `edit(sources, edits)` puts new bodies into regions; `namespace(edits)` runs
the notebook's definitions with them.
"""

import ast
import functools
import linecache
import re
import textwrap
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import nbformat

NOTEBOOK = Path(__file__).parent.parent / 'EXP_MSA.ipynb'


class Edit(NamedTuple):
    """A new body for one region: number `index` (from 0) of those of `task` in the cell."""

    task: str
    cell: str
    index: int
    body: str


@dataclass(frozen=True)
class Region:
    """A region, with a right body for it as named lines. Calling it gives an Edit.

    `LSTMS(body)` puts another body into the region LSTMS. `LSTMS(text='...')` puts its right body
    there, but with the line of the name `text` replaced: by one line, by several, or by '' (none).
    """

    task: str
    cell: str
    index: int
    lines: dict

    def __call__(self, body=None, **changed):
        unknown = changed.keys() - self.lines.keys()
        if unknown:
            raise ValueError(f'the region of task {self.task} in {self.cell} has no line {unknown}')
        lines = (self.lines | changed).values()
        body = '\n'.join(line for line in lines if line) if body is None else body
        return Edit(self.task, self.cell, self.index, body)


def region(task, cell, index=0, **lines):
    """A Region, with the lines of its right body by name."""
    return Region(task, cell, index, lines)


@functools.cache
def code_cells():
    """The notebook's code cells, {id: source}; the %-lines of IPython are comments."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    plain = functools.partial(re.sub, r'^(?=[%!])', '#', flags=re.MULTILINE)
    return {cell.id: plain(cell.source) for cell in cells if cell.cell_type == 'code'}


def _matches(source, task):
    """The regions of a task in one cell; each match has the groups `indent` and `body`."""
    begin = rf'^(?P<indent> *)### BEGIN SOLUTION {re.escape(task)} [^\n]*\n'
    end = r'\n *### END SOLUTION'
    return list(re.finditer(rf'{begin}(?P<body>.*?){end}', source, re.DOTALL | re.MULTILINE))


def edit(sources, edits):
    """The cells, {id: source}, with the bodies of the edits in their regions."""
    sources = dict(sources)
    for task, cell, index, body in edits:
        source = sources[cell]
        match = _matches(source, task)[index]
        body = textwrap.indent(body, match['indent'])
        sources[cell] = source[: match.start('body')] + body + source[match.end('body') :]
    return sources


def regions(sources, task):
    """What the student writes for a task: (cell id, indented text) of each region."""
    return [
        (cell, match['body'])
        for cell, source in sources.items()
        for match in _matches(source, task)
    ]


def unfilled(task):
    """The edits that put back the TODO of one task, as the fill-in edition has it."""
    body = f"raise NotImplementedError('TODO {task} 还没有完成')"
    return tuple(
        Edit(task, cell, index, body)
        for cell, source in code_cells().items()
        for index in range(len(_matches(source, task)))
    )


_number = count()


def namespace(edits=()):
    """The names that the notebook's imports and definitions make, with the edits applied.

    What trains or draws is left out; all functions share one dict of globals, as in a notebook. A
    list of experiments whose TODO is unfilled is missing.
    """
    names = {'__name__': '__main__'}
    for cell, source in edit(code_cells(), edits).items():
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if _defines(node)]
        file = f'<notebook {next(_number)} {cell}>'
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            exec(compile(tree, file, 'exec'), names)
        except NotImplementedError:  # an unfilled list of experiments: its cell stops here
            if not cell.endswith('-experiments'):
                raise
    return names


def _defines(node):
    """Whether a top-level statement only defines something that the checks need."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Raise)):
        return True
    target = getattr(node, 'target', None) or getattr(node, 'targets', [None])[0]
    return isinstance(target, ast.Name) and target.id.endswith('_experiments')
