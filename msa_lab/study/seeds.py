"""Seeding: the same seed gives the same training."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


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


@contextmanager
def own_random_numbers(*modules: nn.Module) -> Iterator[None]:
    """In its block the modules (a model, its loss) draw from a stream of random numbers of its own.

    What a model draws, for dropout say, then leaves the stream alone from which the order of the
    batches comes. On a GPU nothing is to be done: there models draw from the GPU's generator.
    """
    if torch.cuda.is_available():
        yield
        return
    other = torch.Generator().manual_seed(torch.initial_seed() + 1).get_state()
    depth = 0

    def exchange():
        nonlocal other
        current = torch.get_rng_state()
        torch.set_rng_state(other)
        other = current

    def enter(module, args):
        nonlocal depth
        depth += 1
        if depth == 1:  # a loss may call its model
            exchange()

    def leave(module, args, output):
        nonlocal depth
        depth -= 1
        if depth == 0:
            exchange()

    hooks = []
    for module in modules:
        hooks.append(module.register_forward_pre_hook(enter))
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
