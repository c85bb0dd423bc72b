"""Which device is used and why: five cases, by doubles of what torch reports."""

import pytest
import torch

from msa_lab.speed import default_device, describe_device
from msa_lab.speed import device as module

OLD_DRIVER = (
    'The NVIDIA driver on your system is too old (found version 11040). Please update your GPU '
    'driver by downloading and installing a new version'
)
NO_KERNEL = 'CUDA error: no kernel image is available for execution on the device\nCompile with'


@pytest.fixture
def machine(monkeypatch):
    """A machine by what torch says of it."""

    def make(cuda='12.8', available=False, init='No CUDA GPUs are available', kernel=''):
        def fail():
            raise RuntimeError(init)

        monkeypatch.setattr(torch.version, 'cuda', cuda)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: available)
        monkeypatch.setattr(torch.cuda, 'init', fail)
        monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device=None: 'GeForce GTX 1080')
        monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda device=None: (6, 1))
        monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_75', 'sm_80'])
        monkeypatch.setattr(module, '_kernel_error', lambda: kernel)

    return make


def test_all_well(machine):
    machine(available=True)
    assert default_device() == torch.device('cuda:0')
    assert describe_device() == 'GPU：GeForce GTX 1080'


CASES = {
    'no GPU': (dict(), ['没有看到 NVIDIA 显卡', 'nvidia-smi']),
    'no driver': (
        dict(init='Found no NVIDIA driver on your system. Please check'),
        ['没有看到 NVIDIA 显卡', '驱动'],
    ),
    'a CPU build': (dict(cuda=None), ['只支持 CPU 的版本', torch.__version__, module.INSTALL]),
    'a driver that is too old': (
        dict(init=OLD_DRIVER),
        ['驱动太旧', '支持到 CUDA 11.4', '要用 CUDA 12.8', module.INSTALL],
    ),
    'no kernels for this GPU': (
        dict(available=True, kernel=NO_KERNEL),
        ['GeForce GTX 1080', '计算能力是 6.1', 'sm_75、sm_80', 'no kernel image is available'],
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_without_a_gpu_it_goes_on_with_the_cpu_and_says_why(machine, case):
    settings, words = CASES[case]
    machine(**settings)
    assert default_device() == torch.device('cpu')
    line = describe_device()
    assert line.startswith('GPU：用不了，改用 CPU 训练。原因：')
    assert '\n' not in line
    for word in words:
        assert word in line


def test_kernels_are_tried_by_one_small_operation(monkeypatch):
    """An operation that fails is reported, one that works is not."""

    def ones(*args, **kwargs):
        raise RuntimeError(NO_KERNEL)

    module._kernel_error.cache_clear()
    monkeypatch.setattr(torch, 'ones', ones)
    assert module._kernel_error() == NO_KERNEL
    module._kernel_error.cache_clear()
    monkeypatch.setattr(torch, 'ones', lambda *args, **kwargs: torch.zeros(1))
    assert module._kernel_error() == ''
    module._kernel_error.cache_clear()


def test_this_machine_is_described():
    line = describe_device()
    assert line.startswith('GPU：')
    assert ('改用 CPU' in line) == (default_device().type == 'cpu')
