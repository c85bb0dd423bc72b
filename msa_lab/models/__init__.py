"""The systems of the cited papers, small enough to train here, and what models share.

`TFN`, `MISA`, `AMP`; `masked_mean` and the other helpers for padded sequences; `count_parameters`.
Each docstring names the paper and every deviation from it: change both or neither.
"""

from msa_lab.models.amp import AMP
from msa_lab.models.misa import MISA
from msa_lab.models.padding import masked_mean
from msa_lab.models.parameters import count_parameters
from msa_lab.models.tfn import TFN, tensor_fusion

__all__ = ['AMP', 'MISA', 'TFN', 'count_parameters', 'masked_mean', 'tensor_fusion']
