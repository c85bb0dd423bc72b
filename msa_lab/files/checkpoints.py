"""Checkpoints: the weights of a model in a file, written whole and read as tensors only."""

import io
from pathlib import Path

import torch
from torch import nn

from msa_lab.files.atomic import atomic_write


def save_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Write the model's weights to `path`: a crash leaves the old file or the new one.

    Raises OSError when they cannot be written; the older file stays.
    """
    content = io.BytesIO()  # to a full disk, torch.save itself reports no OSError
    torch.save(model.state_dict(), content)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def load_checkpoint(model: nn.Module, path: str | Path) -> None:
    """Put the weights in the file `path` into the model, on whichever device that is.

    Nothing but tensors is read from the file. Raises FileNotFoundError when it is not there,
    ValueError, in one line, when it is damaged or no checkpoint, and RuntimeError when it is one
    of another model.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}: train the model first')
    try:
        weights = torch.load(path, map_location='cpu', weights_only=True)
    except Exception:  # what torch raises on a damaged file is not one type
        raise ValueError(f'{path} is damaged or no checkpoint: train the model again') from None
    model.load_state_dict(weights)
