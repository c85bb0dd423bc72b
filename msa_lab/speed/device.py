"""Which device the lab trains on, and why it is not the GPU."""

import re
from functools import cache

import torch

INSTALL = 'https://pytorch.org/get-started/locally'


def default_device() -> torch.device:
    """The first GPU, `cuda:0`, where PyTorch can compute on one; else the CPU."""
    usable = torch.cuda.is_available() and not _kernel_error()
    return torch.device('cuda:0' if usable else 'cpu')


def describe_device() -> str:
    """The device of `default_device`, in Chinese; of a CPU also why, and what helps."""
    if default_device().type == 'cuda':
        return f'GPU：{torch.cuda.get_device_name(0)}'
    return f'GPU：用不了，改用 CPU 训练。{_why_no_gpu()}'


@cache
def _kernel_error():
    """The error of one small operation on the GPU; '' when it works."""
    try:
        (torch.ones(1, device='cuda:0') + 1).item()
    except RuntimeError as error:
        return str(error)
    return ''


def _why_no_gpu():
    """Why PyTorch cannot use a GPU, and the one step that helps: Chinese, one line."""
    if torch.version.cuda is None:
        return (
            f'原因：装的 torch {torch.__version__} 是只支持 CPU 的版本。'
            f'机器上有 NVIDIA 显卡的话，按 {INSTALL} 换成带 CUDA 的版本。'
        )
    if torch.cuda.is_available():
        have, compiled = torch.cuda.get_device_capability(0), torch.cuda.get_arch_list()
        return (
            f'原因：这个 torch 不能在 {torch.cuda.get_device_name(0)} 上计算：显卡的计算能力是 '
            f'{have[0]}.{have[1]}，torch 里编译好的有 {"、".join(compiled)}'
            f'（{_kernel_error().splitlines()[0][:80]}）。按 {INSTALL} 换一个支持它的版本。'
        )
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        if found := re.search(r'driver.* too old \(found version (\d+)\)', str(error)):
            driver = f'{int(found[1]) // 1000}.{int(found[1]) % 1000 // 10}'
            return (
                f'原因：显卡的驱动太旧：它支持到 CUDA {driver}，这个 torch 要用 CUDA '
                f'{torch.version.cuda}。更新驱动，或者按 {INSTALL} 换成 CUDA {driver} 的版本。'
            )
    return (
        '原因：没有看到 NVIDIA 显卡。有显卡的话，先让命令 nvidia-smi 看得到它（驱动、容器的设置）。'
    )
