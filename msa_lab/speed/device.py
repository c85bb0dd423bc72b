"""Which device the lab trains on."""

import torch


def default_device() -> torch.device:
    """The first GPU, `cuda:0`, where PyTorch can use one; else the CPU."""
    return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
