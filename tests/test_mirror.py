"""The notebook and `msa_utils.py` say the same: what stands in both is the same code.

Compared by syntax tree, so comments and layout may differ and docstrings may not.
"""

import ast
from itertools import zip_longest
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOT_MIRRORED = {'correlation'}  # a one-line helper of a single cell


def definitions(source):
    """Top-level classes, functions and upper-case constants, {name: unparsed code}, in order."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = ast.unparse(node)
    return found


def notebook_source(path=ROOT / 'EXP_MSA.ipynb'):
    """All code of the notebook as one program; lines for IPython become comments."""
    cells = nbformat.read(path, as_version=4).cells
    source = '\n\n'.join(cell.source for cell in cells if cell.cell_type == 'code')
    return '\n'.join('#' + s if s.startswith(('%', '!')) else s for s in source.splitlines())


def differences(notebook, module):
    """One line for each way in which the notebook's definitions are not the module's."""
    problems = []
    for name, code in notebook.items():
        if name in NOT_MIRRORED:
            continue
        if name not in module:
            problems.append(f'{name}: stands in EXP_MSA.ipynb and is missing from msa_utils.py')
            continue
        lines = zip_longest(code.splitlines(), module[name].splitlines(), fillvalue='(nothing)')
        for number, (here, there) in enumerate(lines, 1):
            if here != there:
                problems.append(
                    f'{name}, line {number}: EXP_MSA.ipynb has {here!r}, msa_utils.py {there!r}'
                )
                break
    return problems


def test_the_notebook_and_the_module_are_the_same():
    module = definitions((ROOT / 'msa_utils.py').read_text(encoding='utf-8'))
    notebook = definitions(notebook_source())
    assert not (problems := differences(notebook, module)), '\n'.join(problems)
    assert len(notebook) >= 15


def test_the_module_keeps_the_order_of_the_notebook():
    module = definitions((ROOT / 'msa_utils.py').read_text(encoding='utf-8'))
    notebook = [name for name in definitions(notebook_source()) if name not in NOT_MIRRORED]
    assert notebook == list(module)


@pytest.mark.parametrize(
    ('notebook', 'module', 'problem'),
    [
        ('def f():\n    return 1  # one', 'def f():\n    return 1', None),
        ('def f():\n    return 1', 'def f():\n    return 2', "f, line 2: EXP_MSA.ipynb has '    "),
        ('def f():\n    "a"', 'def f():\n    "b"', 'f, line 2'),
        ('class A:\n    x = 1', '', 'A: stands in EXP_MSA.ipynb and is missing'),
        ('def f():\n    pass', 'def f():\n    pass\n    return 1', '(nothing)'),
        ('', 'def helper():\n    pass', None),
    ],
)
def test_the_comparison_itself(notebook, module, problem):
    problems = differences(definitions(notebook), definitions(module))
    assert [problem in p for p in problems] == ([] if problem is None else [True])
