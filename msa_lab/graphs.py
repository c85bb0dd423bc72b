"""CUDA graphs: on a GPU, a model's kernels launched all at once in place of one by one."""

import warnings
from contextlib import contextmanager

import torch


@contextmanager
def captured(model, loader):
    """Inside, the model runs the full batches of a `ResidentLoader` as CUDA graphs, in training.

    A training step of a small model is more than a hundred kernels of a few microseconds each.
    Python needs longer to launch them than a GPU to run them, so most of the time the GPU waits.
    `torch.cuda.make_graphed_callables` records the kernels of one forward and one backward pass
    and launches all of them at once from then on; loss, optimizer and training loop stay as they
    are. Batches of another size and evaluation go the usual way.

    It is done on a GPU for a model that says `capturable = True`: whose `forward` does the same
    for every batch, keeps nothing but what it returns, and has no running statistics. If it waits
    for the GPU after all (`.item()`, a shape that depends on values), nothing is recorded.
    """
    columns = getattr(loader, 'columns', ())[:-1]  # without the labels
    features = tuple(column[: loader.batch_size].clone() for column in columns)
    wanted = getattr(model, 'capturable', False) and features and features[0].is_cuda
    if not wanted or _waits(model.train(), features):
        yield
        return
    # The recording has a stream of its own, and PyTorch would warn that this may cost a little.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    try:
        model.forward = _recorded(model, features)
        yield
    finally:  # the class's `forward` again: a model with graphs cannot be copied or pickled
        vars(model).pop('forward', None)
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(True)


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
    """A `forward` that replays the recording for batches of this size."""
    plain, shape = model.forward, features[0].shape
    torch.cuda.make_graphed_callables(model, features, allow_unused_input=True)
    graphed = model.forward
    return lambda *batch: (graphed if batch[0].shape == shape else plain)(*batch)
