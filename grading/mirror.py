"""Writing what follows from the notebook: `python -m grading.mirror` (`make mirror`).

`msa_utils.py` gets the notebook's definitions; the notebook's table of tasks and its headings get
the points that its cells carry in their metadata. So a definition and a number stand in one place.
"""

import ast
import re
import subprocess
import sys
from itertools import zip_longest

import nbformat
from nbformat import NotebookNode

from grading.tasks import NOTEBOOK, ROOT, tasks_of

MODULE = 'msa_utils.py'
HEADER = '''
"""The definitions of EXP_MSA.ipynb, in its order. Written by `make mirror`: do not edit it.

`python msa_utils.py [FILE]` trains and tests the baseline, `... inspect FILE` describes a file.
Besides definitions the module holds the imports that they use, and no others; `dir()` hides those.
"""

from msa_lab.data.command_line import command_line
'''
FOOTER = '''def __dir__():
    """The definitions alone, without what they import."""
    values = globals().items()
    return [name for name, value in values if getattr(value, '__module__', '') == __name__]


if __name__ == '__main__':
    sys.exit(command_line(sys.argv[1:], main))
'''


def mirror(notebook: NotebookNode) -> str:
    """The source of `msa_utils.py`: the notebook's classes and functions, and what they import.

    Cells tagged `mirror` are taken over too. Raises ValueError, with the cell's id, for a cell
    that defines something and does something else as well.
    """
    imports, definitions = [], []
    for cell in notebook.cells:
        if cell.cell_type != 'code':
            continue
        source = re.sub(r'(?m)^( *### (BEGIN|END) SOLUTION|[%!]).*\n', '', f'{cell.source}\n')
        body = ast.parse(source).body
        imports += [ast.unparse(n) for n in body if isinstance(n, (ast.Import, ast.ImportFrom))]
        defines = [isinstance(n, (ast.FunctionDef, ast.ClassDef)) for n in body]
        if any(defines) and not all(defines):
            raise ValueError(f'cell {cell.id}: put what is no definition into a cell of its own')
        if any(defines) or 'mirror' in cell.metadata.get('tags', []):
            definitions.append(source)
    source = '\n\n'.join([HEADER, *imports, *definitions, FOOTER])
    source = _ruff(
        source, 'check', '--quiet', '--fix', '--select', 'F401,I'
    )  # imports: used, sorted
    return _ruff(source, 'format')


def _ruff(source: str, *command: str) -> str:
    """The source after a command of ruff, with the project's settings."""
    run = subprocess.run(
        [sys.executable, '-m', 'ruff', *command, '--stdin-filename', MODULE, '-'],
        input=source, capture_output=True, text=True, encoding='utf-8', cwd=ROOT, check=True,
    )  # fmt: skip
    return run.stdout


def write_points(notebook: NotebookNode) -> None:
    """Put the points of the cells' metadata into the table of tasks and into the headings."""
    tasks = tasks_of(notebook)
    cells = {cell.metadata.get('nbgrader', {}).get('grade_id'): cell for cell in notebook.cells}
    for key, task in tasks.items():
        cells[key].source = re.sub(
            r'（\d+ 分）', f'（{task.points} 分）', cells[key].source, count=1
        )
    rows = [f'{task.name} | {task.title} | {task.points}' for task in tasks.values()]
    half = (len(rows) + 1) // 2
    pairs = zip_longest(rows[:half], rows[half:], fillvalue=' |  | ')
    table = '\n'.join(f'| {left} | {right} |' for left, right in pairs)
    total = sum(task.points for task in tasks.values())
    (overview,) = [cell for cell in notebook.cells if cell.id == 'tasks']
    rule = '| --- ' * 6 + '|\n'
    before, after = overview.source.split(rule)
    after = re.sub(r'一共 \d+ 分', f'一共 {total} 分', after[after.index('\n\n') :])
    overview.source = f'{before}{rule}{table}{after}'


def main() -> None:
    """Write the points into the notebook and the definitions into the module."""
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    write_points(notebook)
    nbformat.write(notebook, ROOT / NOTEBOOK)
    (ROOT / MODULE).write_text(mirror(notebook), encoding='utf-8')


if __name__ == '__main__':
    main()
