"""CUDA graphs: on a GPU, a model's kernels launched all at once in place of one by one."""

import gc
import warnings
from contextlib import contextmanager

import torch


@contextmanager
def run_as_cuda_graphs(model, loader):
    """Inside, the model runs the full batches of a `DeviceLoader` as CUDA graphs, in training.

    A training step of a small model is more than a hundred kernels, most of them of a few
    microseconds. Python needs longer to launch them than a GPU to run them, so the GPU waits.
    `torch.cuda.make_graphed_callables` records the kernels of one forward and one backward pass
    and launches all of them at once from then on; loss, optimizer and training loop stay as they
    are. Batches of another size and evaluation go the usual way.

    It is done on a GPU for a model that says `capturable = True`: whose `forward` does the same
    for every batch (a number that Python draws or counts would be recorded as a constant), keeps
    nothing but what it returns, and has no running statistics. A model that waits for the GPU
    (`.item()`, a shape that depends on values) or has hooks is not recorded.
    """
    if not _wanted(model, loader):
        yield
        return
    features = tuple(column[: loader.batch_size].clone() for column in loader.columns[:-1])
    own = vars(model).get('forward')
    # The recording has a stream of its own, and PyTorch would warn that this may cost a little.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    try:
        if not _waits(model.train(), features):
            model.forward = _recorded(model, features)
        yield
    finally:  # a model with graphs can be neither copied nor pickled
        vars(model).pop('forward', None)
        if own is not None:
            model.forward = own
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(True)


def _wanted(model, loader):
    """Whether a recording is allowed and would be of use."""
    return (
        getattr(model, 'capturable', False)
        and bool(getattr(loader, 'batch_size', None))
        and any(column.is_cuda for column in getattr(loader, 'columns', ()))
        and not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    )


def _waits(model, features):
    """Whether a training step of the model makes the CPU wait for the GPU."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that this mode does not see everything
        torch.cuda.set_sync_debug_mode('error')
    try:
        model(*features).sum().backward()
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode('default')
        model.zero_grad()
    return False


def _recorded(model, features):
    """A `forward` that replays the recording for batches of this size.

    A replay overwrites what the one before has left: scores, activations, gradients. So scores are
    copied, a second pass before the backward pass of the first goes the usual way, and gradients
    that were not dropped in between are copied before they are added to.
    """
    plain, parameters = model.forward, list(model.parameters())
    shapes = [x.shape for x in features]
    collecting = gc.isenabled()
    gc.collect()  # an older recording must not be cleared away in the middle of this one
    gc.disable()
    try:
        torch.cuda.make_graphed_callables(model, features, allow_unused_input=True)
    finally:
        if collecting:
            gc.enable()
    graphed, waiting = model.forward, False  # waiting: for the backward pass

    def begin_backward(_):
        nonlocal waiting
        waiting = False
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad.clone()

    def forward(*batch, **named):
        nonlocal waiting
        if waiting or named or [x.shape for x in batch] != shapes:
            return plain(*batch, **named)
        output = graphed(*batch)
        if output.requires_grad:
            waiting = True
            output.register_hook(begin_backward)
        return output.clone()

    return forward
