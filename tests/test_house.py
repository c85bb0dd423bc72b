"""How the house is kept: pages, commands and files agree; the code stays small and in its place."""

import ast
import copy
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import msa_utils
from msa_lab.study import Experiment

ROOT = Path(__file__).parent.parent
PAGES = ('README.md', 'CONTRIBUTING.md', 'grading/README.md', 'tests/README.md')
PAGES += tuple(f'docs/{path.name}' for path in sorted((ROOT / 'docs').glob('*.md')))
OURS = ('msa_lab', 'grading', 'benchmarks', 'images', 'tests')  # folders with Python files
# A folder of msa_lab imports from folders of lower levels alone.
LEVELS = dict(files=0, data=1, models=2, speed=3, study=4, checks=5, report=5)


@cache
def text(name):
    """A file of the project, as text; `name` is its path from the root."""
    return (ROOT / name).read_text(encoding='utf-8')


def code_in(page):
    """What stands in code blocks and between backticks in a page, as one string."""
    blocks = re.findall(r'^```.*?\n(.*?)^```', text(page), re.DOTALL | re.MULTILINE)
    prose = re.sub(r'^```.*?^```', '', text(page), flags=re.DOTALL | re.MULTILINE)
    return '\n'.join([*blocks, *re.findall(r'`([^`\n]+)`', prose)])


def can_be_run(module):
    """Whether `python -m module` finds a file."""
    path = ROOT / module.replace('.', '/')
    return path.with_suffix('.py').is_file() or (path / '__main__.py').is_file()


def targets():
    """The targets of the Makefile, without the files that it makes."""
    return set(re.findall(r'^([a-z-]+):', text('Makefile'), re.MULTILINE))


def python_files(*folders):
    """The Python files of some folders, or of all of them and the root: paths from the root."""
    files = [path for folder in folders or OURS for path in (ROOT / folder).rglob('*.py')]
    files += () if folders else ROOT.glob('*.py')
    return sorted(str(path.relative_to(ROOT)) for path in files)


@cache
def functions():
    """Every function of the project: [(file:name, lines, number of parameters)]."""
    found = []
    for file in python_files():
        for node in ast.walk(ast.parse(text(file))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                count = len([a for a in arguments if a.arg not in ('self', 'cls')])
                length = node.end_lineno - node.lineno + 1
                found.append((f'{Path(file).as_posix()}:{node.name}', length, count))
    return found


def module_name(file):
    """msa_lab/data/__init__.py -> msa_lab.data"""
    return '.'.join(Path(file).with_suffix('').parts).removesuffix('.__init__')


@cache
def imports_of_msa_lab():
    """What each module of `msa_lab` imports of ours: {module: {module, ...}}."""
    files = {module_name(file): file for file in python_files('msa_lab')}
    imports = {}
    for module, file in files.items():
        names = set()
        for node in ast.walk(ast.parse(text(file))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f'{file}:{node.lineno}: write the whole name'
                whole = {f'{node.module}.{alias.name}' for alias in node.names}
                submodules = whole & files.keys()
                names |= submodules
                if len(submodules) < len(whole):  # names that are defined in the module itself
                    names.add(node.module)
        imports[module] = {n for n in names if n.split('.')[0] in (*OURS, 'msa_utils')}
    return imports


def test_the_readme_can_be_read_in_ten_minutes():
    assert len(text('README.md').splitlines()) <= 100
    assert len(re.findall(r'!\[', text('README.md'))) == 1


@pytest.mark.parametrize('page', PAGES)
def test_every_command_of_a_page_exists(page):
    assert set(re.findall(r'\bmake ([a-z-]+)', code_in(page))) <= targets()
    for module in re.findall(rf'-m ((?:{"|".join(OURS)})\.[\w.]+)', code_in(page)):
        assert can_be_run(module), module


def test_the_readme_shows_the_commands_that_come_first():
    assert {'run', 'test', 'lab', 'help'} <= set(re.findall(r'make ([a-z-]+)', text('README.md')))


def test_every_module_that_the_makefile_runs_is_there():
    for module in re.findall(r'\$\(RUN\) (\w+\.[\w.]+)', text('Makefile')):
        assert can_be_run(module), module


def test_help_lists_every_target():
    described = set(re.findall(r'^([a-z-]+):.*##', text('Makefile'), re.MULTILINE))
    assert described == targets()
    for target in targets() - {'help', 'venv', 'test-oldest'}:  # it has an environment of its own
        assert re.search(rf'^{target}: venv\b', text('Makefile'), re.MULTILINE), target


def test_continuous_integration_runs_the_commands_of_the_readme():
    assert re.findall(r'^make (\w+)$', text('.ci/run'), re.MULTILINE) == ['lint', 'test']


@pytest.mark.parametrize('page', PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    for path, anchor in re.findall(r'\]\((?!http)([^)#]*)#?([^)]*)\)', text(page)):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        if anchor:
            headings = re.findall(r'^#+ (.*)', target.read_text(encoding='utf-8'), re.MULTILINE)
            slugs = [re.sub(r'[^\w -]', '', h).lower().replace(' ', '-') for h in headings]
            assert anchor in slugs


@pytest.mark.parametrize('page', PAGES)
def test_every_path_that_a_page_names_exists(page):
    for path in re.findall(rf'(?<![\w/])(?:{"|".join((*OURS, "docs"))})/[\w./-]*', code_in(page)):
        assert (ROOT / path).exists(), path


def test_the_ablation_of_the_contributing_page_works(batch):
    """The cell is at most ten lines and gives a model that trains."""
    (cell,) = re.findall(r'```python\n(.*?)```', text('CONTRIBUTING.md'), re.DOTALL)
    assert len(cell.splitlines()) <= 10
    scope = {**vars(msa_utils), 'Experiment': Experiment, 'fusion_experiments': []}
    exec(cell, scope)
    (experiment,) = scope['fusion_experiments']
    output = experiment.build()(*batch)
    assert output.shape == (16, 1)
    output.sum().backward()


def test_the_ablation_of_the_contributing_page_fits_into_the_notebook(complete):
    """In two cells, as the page says; in one `make mirror` refuses it."""
    mirror = pytest.importorskip('grading.mirror', reason='needs Jupyter').mirror
    nbformat = pytest.importorskip('nbformat', reason='needs Jupyter')
    (cell,) = re.findall(r'```python\n(.*?)```', text('CONTRIBUTING.md'), re.DOTALL)
    *definition, last = cell.strip().splitlines()
    for sources in (['\n'.join(definition), last], [cell]):
        notebook = copy.deepcopy(complete)
        notebook.cells += [nbformat.v4.new_code_cell(source) for source in sources]
        if len(sources) == 1:
            with pytest.raises(ValueError, match='a cell of its own'):
                mirror(notebook)
        else:
            assert 'class LargestFusion' in mirror(notebook)


def test_requirements_are_ranges_and_each_has_an_exact_version():
    lines = {
        name: [line for line in text(name).splitlines() if not line.startswith(('#', '-r '))]
        for name in ('requirements.txt', 'requirements-dev.txt', 'constraints.txt')
    }
    for line in lines['requirements.txt']:
        assert re.fullmatch(r'[\w-]+>=[\d.]+', line), line
    for line in lines['constraints.txt']:
        assert re.fullmatch(r'[\w-]+==[\d.]+', line), line
    exact = {line.partition('==')[0] for line in lines['constraints.txt']}
    for line in lines['requirements.txt'] + lines['requirements-dev.txt']:
        assert re.match(r'[\w-]+', line)[0] in exact, line


def test_the_versions_of_python_agree():
    """README names those that were tried, the same in both languages; the rest is wider."""
    tried = re.findall(r'Python 3\.(\d+) (?:to|到) 3\.(\d+)', text('README.md'))
    assert len(tried) == 2
    assert len(set(tried)) == 1
    oldest = re.search(r'requires-python = ">=3\.(\d+)"', text('pyproject.toml'))[1]
    assert int(oldest) <= int(tried[0][0])


@pytest.mark.parametrize('name', ['*.pkl', '/data/', 'best_model.pth*', 'runs/', 'build/'])
def test_data_and_results_are_never_committed(name):
    assert name in text('.gitignore').splitlines()


def test_the_lab_has_seven_folders_and_one_mirror():
    names = {path.name for path in (ROOT / 'msa_lab').iterdir() if path.name != '__pycache__'}
    assert names == {'__init__.py', *LEVELS}
    assert [path.name for path in ROOT.glob('msa_*.py')] == ['msa_utils.py']
    for folder in LEVELS:
        assert ast.get_docstring(ast.parse(text(f'msa_lab/{folder}/__init__.py'))), folder


def test_imports_between_the_folders_of_the_lab_only_go_down():
    for module, names in imports_of_msa_lab().items():
        for name in names:
            assert name.startswith('msa_lab.'), f'{module} imports {name}'
            if module != 'msa_lab':
                here, there = module.split('.')[1], name.split('.')[1]
                assert here == there or LEVELS[here] > LEVELS[there], f'{module} imports {name}'


def test_no_module_of_the_lab_imports_itself_by_way_of_others():
    TopologicalSorter(imports_of_msa_lab()).prepare()


def test_reading_data_needs_no_torch():
    code = 'import sys, msa_lab.data; sys.exit("torch" in sys.modules)'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def test_functions_are_short():
    assert [(name, lines) for name, lines, _ in functions() if lines > 50] == []


def test_parameter_lists_are_short():
    """The contract fixes the eight of `train_model` and `run_study`; both have options beside."""
    long = [(name, count) for name, _, count in functions() if count > 8]
    assert [
        (name, n) for name, n in long if not name.endswith((':train_model', ':run_study'))
    ] == []


def test_files_can_be_read_in_one_go():
    """The mirror is as long as the notebook is; tests are lists of cases."""
    for file in python_files('msa_lab', 'grading', 'benchmarks', 'images'):
        assert len(text(file).splitlines()) <= 400, file


def test_the_layout_is_the_formatters():
    """`# fmt: skip` is for tables of numbers."""
    skipped = {
        file: len(re.findall('# fmt: (?:skip|off)\n', text(file))) for file in python_files()
    }
    assert sum(skipped.values()) <= 20, {file: n for file, n in skipped.items() if n}
