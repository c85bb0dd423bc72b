"""The systems of the cited papers, small enough to train here, and what models share.

`TFN`, `MISA` and `AMP` have a file each, `simple` holds ridge and SVR, `padding` is about padded
sequences, `common` is the rest.
Each docstring names the paper and every deviation from it: whoever changes one changes the other.
"""

from msa_lab.models.amp import AMP
from msa_lab.models.common import count_parameters
from msa_lab.models.misa import MISA
from msa_lab.models.padding import masked_mean
from msa_lab.models.simple import simple_results
from msa_lab.models.tfn import TFN, tensor_fusion

__all__ = [
    'AMP',
    'MISA',
    'TFN',
    'count_parameters',
    'masked_mean',
    'simple_results',
    'tensor_fusion',
]
