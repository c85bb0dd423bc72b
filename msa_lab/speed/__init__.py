"""What makes the lab fast and a student need not see: the device, its batches, CUDA graphs.

`default_device`, `DeviceLoader` (batches that stay on the device), `run_as_cuda_graphs`.
Nothing here may change what a training computes; on the CPU the CUDA graphs do nothing.
"""

from msa_lab.speed.cuda_graphs import run_as_cuda_graphs
from msa_lab.speed.device import default_device
from msa_lab.speed.device_loader import DeviceLoader

__all__ = ['DeviceLoader', 'default_device', 'run_as_cuda_graphs']
