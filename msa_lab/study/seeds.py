"""Seeding: the same seed gives the same training."""

import os
import random

import numpy as np
import torch


def set_seed(seed: int = 42) -> None:
    """Seed Python, numpy and torch (CPU and every GPU), so that a training can be repeated.

    Call it before the GPU is first used: cuBLAS reads the size of its workspace only once, and
    without a fixed size recurrent networks on a GPU do not give the same numbers every time. A
    `CUBLAS_WORKSPACE_CONFIG` that is already set stays.
    """
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')  # with ':16:8' PyTorch warns
    torch.backends.cudnn.deterministic = True  # the same kernels every time
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
