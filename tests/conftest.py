"""What the tests share: a device, and small stand-in files made in milliseconds."""

import pytest
import torch

from msa_lab.standin import write_standin

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
def workdir(tmp_path, monkeypatch):
    """An empty current directory, so that nothing is written into the checkout."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
