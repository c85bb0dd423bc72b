"""CMU-MOSI files: opened as data and never executed, checked, described; and two stand-ins.

`load_split` gives one split of a file, `ensure_data` the path of a file that is there.
A file comes from strangers: what is read of it, and how much, is bounded on purpose.
"""

from msa_lab.data.banner import data_banner, data_caption
from msa_lab.data.ensure import ensure_data
from msa_lab.data.errors import DataError, DataWarning
from msa_lab.data.format import LABEL_RANGE, METRICS, MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.mosi_file import feature_dims, load_file, load_split
from msa_lab.data.small_file import first_utterances
from msa_lab.data.split import Split, list_videos, padding_mask

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
    'data_banner',
    'data_caption',
    'ensure_data',
    'feature_dims',
    'first_utterances',
    'list_videos',
    'load_file',
    'load_split',
    'padding_mask',
]
