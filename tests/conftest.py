"""What the tests share: a device, and small stand-in files made in milliseconds."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from msa_lab.data.synthetic import write_standin
from msa_utils import make_loader

ROOT = Path(__file__).parent.parent

# Two threads on tensors as small as the tests' wait for each other when the machine is busy, and a
# test takes ten times as long. The variable is for the processes that tests start.
torch.set_num_threads(1)
os.environ['OMP_NUM_THREADS'] = '1'
SMALL = dict(videos=(6, 3, 4), utterances=(97, 33, 40))

# A GPU server may have no Jupyter and no ruff: what needs them is left out there.
NEEDED = {  # package: the files that import it
    'ruff': ('test_mirror.py',),
    'nbconvert': ('test_checks.py', 'test_notebook.py', 'test_html_page.py'),
    'nbgrader': ('test_browser.py', 'test_grading.py', 'test_marks.py', 'test_release.py'),
}
LEFT_OUT = {package: files for package, files in NEEDED.items() if not find_spec(package)}
collect_ignore = sum(LEFT_OUT.values(), start=())


def pytest_report_header():
    """Say what is left out, and for want of what."""
    return [f'no {package}: without {", ".join(files)}' for package, files in LEFT_OUT.items()]


@pytest.fixture(
    params=[
        'cpu',
        pytest.param(
            'cuda:0',
            marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'),
        ),
    ]
)
def device(request):
    """The CPU and, where there is one, the GPU."""
    return torch.device(request.param)


@pytest.fixture(scope='session')
def small_file(tmp_path_factory):
    """A stand-in with 97 / 33 / 40 utterances: the last batches of 16 have one or eight."""
    path = tmp_path_factory.mktemp('data') / 'small.pkl'
    write_standin(path, **SMALL)
    return path


@pytest.fixture
def batch(small_file):
    """Vision, text and audio of 16 utterances."""
    return next(iter(make_loader(small_file, 'valid')))[:3]


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """An empty current directory, so that nothing is written into the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope='session')
def sources(complete):
    """The code of the mirror and of the notebook, as one program each: 'mirror', 'notebook'.

    Lines of the notebook that only IPython understands become comments.
    """
    code = '\n\n'.join(cell.source for cell in complete.cells if cell.cell_type == 'code')
    lines = ('#' + line if line.startswith(('%', '!')) else line for line in code.splitlines())
    mirror = (ROOT / 'msa_utils.py').read_text(encoding='utf-8')
    return {'mirror': mirror, 'notebook': '\n'.join(lines)}


@pytest.fixture(scope='session')
def complete():
    """The complete edition of the notebook, as it is committed."""
    nbformat = pytest.importorskip('nbformat', reason='needs Jupyter')
    return nbformat.read(ROOT / 'EXP_MSA.ipynb', as_version=4)
