"""CMU-MOSI files: opened as data and never executed, checked, described; and the stand-in data.

`load_split` gives one split of a file, `ensure_data` the path of a file that is there.
A file comes from strangers: what is read of it, and how much, is bounded on purpose.
"""

from msa_lab.data.format import LABEL_RANGE, METRICS, MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.mosi_file import DataError, DataWarning, feature_dims, load_file, load_split
from msa_lab.data.small_file import first_utterances
from msa_lab.data.split import Split, padding_mask
from msa_lab.data.synthetic import ensure_data, make_standin, write_standin

__all__ = [
    'LABEL_RANGE',
    'METRICS',
    'MODALITIES',
    'SPLITS',
    'STEPS',
    'WIDTHS',
    'DataError',
    'DataWarning',
    'Split',
    'ensure_data',
    'feature_dims',
    'first_utterances',
    'load_file',
    'load_split',
    'make_standin',
    'padding_mask',
    'write_standin',
]
