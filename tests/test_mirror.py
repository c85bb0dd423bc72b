"""The notebook and its mirror, `msa_utils`, say the same: what stands in both is the same code.

Compared by syntax tree, so comments and layout may differ and docstrings may not.
"""

import ast
import re
from itertools import zip_longest

import pytest

import msa_utils


def definitions(source):
    """Top-level classes and functions, {name: code without comments}, in their order."""
    body = ast.parse(source).body
    nodes = [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert len({n.name for n in nodes}) == len(nodes), 'a name is defined twice'
    return {n.name: ast.unparse(n) for n in nodes}


def differences(notebook, module):
    """One line for each way in which the notebook's definitions are not the mirror's."""
    problems = []
    for name, code in notebook.items():
        if name not in module:
            problems.append(f'{name}: stands in EXP_MSA.ipynb and is missing from the mirror')
            continue
        lines = zip_longest(code.splitlines(), module[name].splitlines(), fillvalue='(nothing)')
        for number, (here, there) in enumerate(lines, 1):
            if here != there:
                problems.append(
                    f'{name}, line {number}: EXP_MSA.ipynb has {here!r}, the mirror {there!r}'
                )
                break
    return problems


def test_the_notebook_and_the_module_are_the_same(sources):
    notebook = definitions(sources['notebook'])
    assert not (problems := differences(notebook, definitions(sources['mirror']))), problems
    assert 'MultimodalSentimentAnalysisModel' in notebook


def test_every_definition_can_be_imported_from_msa_utils(sources):
    missing = [name for name in definitions(sources['notebook']) if not hasattr(msa_utils, name)]
    assert not missing


def test_the_names_of_the_metrics_are_the_same(sources):
    (line,) = re.findall(r'^METRICS = .*$', sources['notebook'], re.MULTILINE)
    assert line in sources['mirror'].splitlines()


def test_the_mirror_keeps_the_order_of_the_notebook(sources):
    notebook, module = (list(definitions(sources[f])) for f in ('notebook', 'mirror'))
    assert notebook == module


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
