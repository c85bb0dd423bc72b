"""On a CPU, the LSTMs of a model read the padding of a batch once and not once per utterance."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from msa_lab.data import padding_mask


@contextmanager
def read_padding_once(model: nn.Module) -> Iterator[None]:
    """In its `with` block, LSTMs of `model` compute the padding in front of a batch once.

    Most steps of a batch are padding, and as long as utterances are padded an LSTM is in the same
    state for all of them. So it reads the first steps for the longest utterances and for one that
    is still padded; the others join it with the state of that one. What comes out differs from
    what `nn.LSTM` gives by rounding alone.

    `model` takes (vision, text, audio), each (B, T, width). Its one-layer `nn.LSTM` modules with
    `batch_first=True` that read forwards do this whenever they read B sequences of T steps that
    are equal where the utterances are padded; all else is computed as ever, as is everything on a
    GPU, which would have to wait for the numbers of steps.
    """
    padding = None

    def remember(module, features):
        nonlocal padding
        padding = _padding_of(features)

    lstms = [module for module in model.modules() if _is_plain(module)]
    hook = model.register_forward_pre_hook(remember) if lstms else None
    for lstm in lstms:
        lstm.forward = _reading_once(lstm, lambda: padding)
    try:
        yield
    finally:
        for lstm in lstms:
            del lstm.forward
        if hook is not None:
            hook.remove()


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is an LSTM of one layer, read forwards, on a CPU, with the batch first."""
    return (
        type(module) is nn.LSTM
        and 'forward' not in vars(module)
        and (module.num_layers, module.bidirectional, module.proj_size) == (1, False, 0)
        and module.batch_first
        and not module.weight_hh_l0.is_cuda
    )


def _padding_of(features: tuple) -> Tensor | None:
    """The padding mask (B, T) of what a model is called with; None where that is something else."""
    tensors = [x for x in features if isinstance(x, Tensor) and x.dim() == 3 and not x.is_cuda]
    shapes = {x.shape[:2] for x in tensors}
    return (
        padding_mask(*tensors) if len(features) == len(tensors) == 3 and len(shapes) == 1 else None
    )


def _reading_once(lstm: nn.LSTM, current_padding: Callable[[], Tensor | None]) -> Callable:
    """A `forward` for the LSTM that reads padding once where it may."""
    plain = lstm.forward

    def forward(sequence, state=None):
        padding = current_padding()
        if (
            state is not None
            or padding is None
            or getattr(sequence, 'shape', ())[:2] != padding.shape
        ):
            return plain(sequence, state)
        begin, order = padding.sum(1).sort()  # the longest utterances begin first
        spared = begin * torch.arange(len(begin) - 1, -1, -1)
        first = int(spared.argmax())  # so many do not wait, and number `first` is still padded
        start = int(begin[first])
        reading, waiting = order[: first + 1], order[first + 1 :]
        with torch.no_grad():
            same = (sequence[waiting, :start] == sequence[order[first], :start]).all()
        if not spared[first] or not same:
            return plain(sequence)
        source = order.argsort().clamp(max=first)  # (B,): whose states are those of an utterance
        head, state = plain(sequence[reading, :start])
        state = tuple(s.index_select(1, source) for s in state)
        tail, state = plain(sequence[:, start:], state)  # (B, T - start, H)
        return torch.cat([head.index_select(0, source), tail], dim=1), state

    return forward
