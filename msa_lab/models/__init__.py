"""The systems of the cited papers, small enough to train here, and what models share.

`TFN`, `MISA` and `AMP` have a file each, `simple` holds the constant, ridge and SVR. Each docstring
names the paper and every deviation from it: whoever changes one changes the other.
"""

from msa_lab.models.amp import AMP
from msa_lab.models.common import count_parameters, read_sequence
from msa_lab.models.misa import MISA
from msa_lab.models.padding import masked_mean
from msa_lab.models.simple import simple_results, simple_results_on_test
from msa_lab.models.tfn import TFN, tensor_fusion

__all__ = [
    'AMP',
    'MISA',
    'TFN',
    'count_parameters',
    'masked_mean',
    'read_sequence',
    'simple_results',
    'simple_results_on_test',
    'tensor_fusion',
]
