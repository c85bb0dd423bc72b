"""Comparing what a solution gives with what it should give, and naming it in a message."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

# The errors 0.5, -2 and 3, by which losses are told apart, and what each loss makes of them.
_PREDICTIONS, _LABELS = (0.5, -1.0, 2.0), (1.0, 1.0, -1.0)
LOSSES = {'MSE': 13.25 / 3, 'MAE': 5.5 / 3, 'Huber': 4.125 / 3}


def near(value, expected, tolerance: float = 1e-4) -> bool:
    """Whether two tensors, arrays or numbers agree in shape and, within the tolerance, in value."""
    value, expected = (torch.as_tensor(x).detach().double() for x in (value, expected))
    if value.shape != expected.shape:
        return False
    return torch.allclose(value, expected, rtol=tolerance, atol=tolerance)


def shape_of(value, returned: bool = True) -> str:
    """How a message names a value: the shape of a tensor or array, else the type.

    A None that a function `returned` is most often a forgotten `return`; the message says so.
    """
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f'形状 {tuple(value.shape)}'
    if value is None:
        return ' None（忘了 return？）' if returned else ' None'
    return f'类型 {type(value).__name__}'


def loss_of_errors(criterion: Callable) -> torch.Tensor:
    """What a loss makes of predictions with the errors 0.5, -2 and 3; see `LOSSES`."""
    return criterion(torch.tensor(_PREDICTIONS), torch.tensor(_LABELS))


def padding_at_front(steps: int, counts: tuple) -> torch.Tensor:
    """A padding mask, bool (B, steps): True for the first `counts[i]` steps of utterance i."""
    return torch.arange(steps) < torch.tensor(counts).unsqueeze(1)


def standardised(x, weight=None, bias=None) -> torch.Tensor:
    """LayerNorm over the last dimension by its formula, in double precision.

    `weight` and `bias` are those of the LayerNorm; without them they are left out.
    """
    x = x.detach().double()
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    x = x if weight is None else x * weight.detach().double()
    return x if bias is None else x + bias.detach().double()


def random_affine(norm: nn.Module) -> nn.Module:
    """The module itself, its `weight` and `bias` (where it has them) made random.

    A LayerNorm begins with weights 1 and biases 0, so a solution that ignores them would pass.
    """
    with torch.no_grad():
        if getattr(norm, 'weight', None) is not None:
            norm.weight.uniform_(0.5, 1.5)
        if getattr(norm, 'bias', None) is not None:
            norm.bias.uniform_(-0.5, 0.5)
    return norm
