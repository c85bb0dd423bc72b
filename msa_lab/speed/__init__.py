"""What makes the lab fast and a student need not see: the device, its batches, CUDA graphs.

`faster` is the one line of it in `fit`; the study reads padding once (`read_padding_once`).
Nothing here may change what a training computes, but for the rounding of sums.
"""

from msa_lab.speed.cuda_graphs import run_as_cuda_graphs
from msa_lab.speed.device import default_device, describe_device
from msa_lab.speed.device_loader import DeviceLoader
from msa_lab.speed.faster_training import faster
from msa_lab.speed.padding_once import read_padding_once

__all__ = [
    'DeviceLoader',
    'default_device',
    'describe_device',
    'faster',
    'read_padding_once',
    'run_as_cuda_graphs',
]
