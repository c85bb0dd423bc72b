"""Weights of a model, on the disk: written whole, read with a clear word."""

import io
from pathlib import Path

import torch

from msa_lab.files import replacing


def write_weights(path, state_dict):
    """Write a `state_dict` as `torch.save` does, by way of `replacing`."""
    content = io.BytesIO()  # to a full disk, torch.save itself reports no OSError
    torch.save(state_dict, content)
    with replacing(path) as file:
        file.write(content.getbuffer())


def read_weights(path, device='cpu'):
    """The `state_dict` in a checkpoint, its tensors on `device`.

    Nothing but tensors is read. Raises FileNotFoundError when there is no such file, ValueError,
    in one line, when it is damaged or no checkpoint.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'no checkpoint {path}: train the model first')
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except Exception:  # what torch raises on a damaged file is not one type
        raise ValueError(f'{path} is damaged or no checkpoint: train the model again') from None
