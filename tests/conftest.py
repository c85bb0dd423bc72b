"""What the tests share: a device, and small stand-in files made in milliseconds."""

from pathlib import Path

import nbformat
import pytest
import torch

from msa_lab.standin import write_standin
from msa_utils import make_loader

ROOT = Path(__file__).parent.parent
SMALL = dict(videos=(6, 3, 4), utterances=(97, 33, 40))


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
def sources():
    """The code of the mirror and of the notebook, as one program each: 'mirror', 'notebook'.

    The mirror is `msa_utils.py` and what it re-exports, in that order; lines of the notebook that
    only IPython understands become comments.
    """
    cells = nbformat.read(ROOT / 'EXP_MSA.ipynb', as_version=4).cells
    code = '\n\n'.join(cell.source for cell in cells if cell.cell_type == 'code')
    lines = ('#' + line if line.startswith(('%', '!')) else line for line in code.splitlines())
    files = ('msa_utils.py', 'msa_ablations.py', 'msa_improved.py')
    mirror = [(ROOT / file).read_text(encoding='utf-8') for file in files]
    return {'mirror': '\n\n'.join(mirror), 'notebook': '\n'.join(lines)}


@pytest.fixture(scope='session')
def complete():
    """The complete edition of the notebook, as it is committed."""
    return nbformat.read(ROOT / 'EXP_MSA.ipynb', as_version=4)
