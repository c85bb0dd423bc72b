"""CUDA graphs: on a GPU, all operations of a pass are launched at once, not one by one."""

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from msa_lab.speed.device_loader import DeviceLoader


@contextmanager
def run_as_cuda_graphs(model: nn.Module, loader: DeviceLoader | DataLoader) -> Iterator[None]:
    """In its `with` block, training steps on full batches of `loader` are launched as CUDA graphs.

    A CUDA graph is a recording of operations on the GPU (kernels) that one call launches. A small
    model needs more than a hundred kernels per training step, most of which take a few
    microseconds. Python needs longer than that to launch each of them, so the GPU mostly waits.
    Here `torch.cuda.make_graphed_callables` records the kernels of one forward and one backward
    pass, and each training step replays the recording on its own batch. Loss, optimizer and
    training loop stay as they are. Smaller batches and evaluation run without the recording.

    The model is recorded if all of this holds; otherwise the block changes nothing:

    - `loader` is a `DeviceLoader` with its batches on a GPU.
    - The body of the model's class says `capturable = True`. This promises that `forward` runs the
      same kernels for every batch, keeps nothing but what it returns, and has no running statistics
      as in BatchNorm. A number that Python draws or counts would be recorded as a constant. A
      subclass does not inherit the promise: its `forward` may do something else.
    - The model has no forward hooks, and its passes do not wait for the GPU, as `.item()` and
      shapes that depend on values do; one trial step finds that out.

    At the end of the block the model has its own `forward` again, because a model with graphs can
    be neither copied nor pickled.
    """
    if not _may_be_recorded(model, loader):
        yield
        return
    features = tuple(column[: loader.batch_size].clone() for column in loader.columns[:-1])
    previous = vars(model).get('forward')
    # The recording has a stream of its own, and PyTorch would warn that this may cost a little.
    _warn_of_streams(False)
    try:
        if not _waits_for_gpu(model.train(), features):
            model.forward = _record_forward(model, features)
        yield
    finally:
        vars(model).pop('forward', None)
        if previous is not None:
            model.forward = previous
        _warn_of_streams(True)


def _warn_of_streams(enabled: bool) -> None:
    """Switch PyTorch's warning about gradients of another stream, in versions that have it."""
    switch = getattr(torch.autograd.graph, 'set_warn_on_accumulate_grad_stream_mismatch', None)
    if switch is not None:
        switch(enabled)


def _may_be_recorded(model: nn.Module, loader: DeviceLoader | DataLoader) -> bool:
    """Whether a recording is allowed (see `run_as_cuda_graphs`), before the trial step."""
    return (
        vars(type(model)).get('capturable', False)
        and _is_on_gpu(loader)
        and loader.batch_size is not None
        and not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    )


def _is_on_gpu(loader: DeviceLoader | DataLoader) -> bool:
    """Whether the batches of a loader lie on a GPU."""
    return isinstance(loader, DeviceLoader) and any(column.is_cuda for column in loader.columns)


def _waits_for_gpu(model: nn.Module, features: tuple[Tensor, ...]) -> bool:
    """Whether the passes of the model make the CPU wait for the GPU, found by one trial step.

    A model that raises an error counts as one; its training will raise the error again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # PyTorch warns that this mode may overlook something
        torch.cuda.set_sync_debug_mode('error')
    try:
        model(*features).sum().backward()
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode('default')
        model.zero_grad()
    return False


def _record_forward(model: nn.Module, features: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    """Record the model and return a `forward` that replays the recording where it fits.

    Every replay overwrites the scores, activations and gradients of the one before it. Therefore
    scores are copied; a forward pass whose predecessor has had no backward pass yet runs without
    the recording; and gradients that are to be added to are copied before a backward pass.
    """
    original, parameters = model.forward, list(model.parameters())
    shapes = [x.shape for x in features]
    _make_graphs(model, features)
    replay = model.forward
    backward_is_due = False  # after a replayed forward pass, until its backward pass begins

    def before_backward(_gradient: Tensor) -> None:
        nonlocal backward_is_due
        backward_is_due = False
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.clone()

    def forward(*batch: Tensor, **keywords: Tensor) -> Tensor:
        nonlocal backward_is_due
        if backward_is_due or keywords or [x.shape for x in batch] != shapes:
            return original(*batch, **keywords)
        output = replay(*batch)
        if output.requires_grad:
            backward_is_due = True
            output.register_hook(before_backward)
        return output.clone()

    return forward


def _make_graphs(model: nn.Module, features: tuple[Tensor, ...]) -> None:
    """Replace `model.forward` by one that replays a recording of batches like `features`."""
    collecting = gc.isenabled()
    gc.collect()  # else an older recording may be freed in the middle of this one
    gc.disable()
    try:
        torch.cuda.make_graphed_callables(model, features, allow_unused_input=True)
    finally:
        if collecting:
            gc.enable()
