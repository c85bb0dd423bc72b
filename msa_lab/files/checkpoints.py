"""Checkpoints: the weights of a model in a file, written whole and read as tensors only."""

import io
import warnings
from pathlib import Path

import torch
from torch import nn

from msa_lab.files.atomic import atomic_write


def save_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Write the model's weights (its `state_dict`) to `path`.

    A crash at any moment leaves the whole older file or the whole new one. Raises OSError when the
    weights cannot be written, for example to a full disk; the older file stays.
    """
    content = io.BytesIO()  # torch.save itself does not raise OSError when the disk is full
    torch.save(model.state_dict(), content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Load the weights in the file `path` into the model, which may be on any device.

    Only tensors are read from the file, so no code in it can run. Raises FileNotFoundError when
    there is no such file, ValueError when it is damaged or no checkpoint (both in one line), and
    RuntimeError when it is the checkpoint of a model with other weights.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}: train the model first')
    try:
        with warnings.catch_warnings():  # torch 2.1 warns of its own code here
            warnings.filterwarnings('ignore', message='TypedStorage is deprecated')
            weights = torch.load(path, map_location='cpu', weights_only=True)
    except Exception:  # what torch raises on a damaged file is not one type
        raise ValueError(f'{path} is damaged or no checkpoint: train the model again') from None
    model.load_state_dict(weights)
