"""Which device the lab trains on."""

import torch


def default_device() -> torch.device:
    """The first GPU where there is one, else the CPU."""
    return torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')
