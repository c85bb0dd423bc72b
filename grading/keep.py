"""Put the executed notebook in its place: `python -m grading.keep` (`make keep`).

`build/EXP_MSA.ipynb`, as `make run` leaves it, takes the place of the committed `EXP_MSA.ipynb`.
The sentences of the stand-in `reviews` belong to others, so what the cells tagged `quotes-data`
show is replaced by one line.
"""

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from grading.tasks import NOTEBOOK, ROOT
from msa_lab.files.atomic import atomic_write

QUOTES = 'quotes-data'
LINE = '（这里会显示数据里的句子。它们属于原作者，所以不随笔记本保存；运行这一格就能看到。）\n'


def without_quotes(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the outputs of its cells that quote the data replaced, in place."""
    for cell in notebook.cells:
        if QUOTES in cell.metadata.get('tags', []) and cell.outputs:
            cell.outputs = [new_output('stream', name='stdout', text=LINE)]
    return notebook


def keep(executed: str | Path = ROOT / 'build' / NOTEBOOK, target: str | Path = ROOT / NOTEBOOK):
    """Write the notebook at `executed` to `target`, without quotes, whole or not at all.

    FileNotFoundError when there is no executed notebook.
    """
    notebook = without_quotes(nbformat.read(executed, as_version=4))
    with atomic_write(target) as file:
        file.write(nbformat.writes(notebook).encode() + b'\n')


if __name__ == '__main__':
    keep()
