"""CMU-MOSI files: opened as data and never executed, checked, described; and the stand-in data.

`load_split` gives one split of a file, `ensure_data` the path of a file that is there.
A file comes from strangers: what is read of it, and how much, is bounded on purpose.
"""

from msa_lab.data.errors import DataError, DataWarning
from msa_lab.data.format import LABEL_RANGE, METRICS, MODALITIES, SPLITS, STEPS, WIDTHS
from msa_lab.data.mosi_file import feature_dims, load_file, load_split
from msa_lab.data.small_file import first_utterances
from msa_lab.data.split import Split, padding_mask

_OF_SYNTHETIC = ('ensure_data', 'make_standin', 'write_standin')

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
    'feature_dims',
    'first_utterances',
    'load_file',
    'load_split',
    'padding_mask',
    *_OF_SYNTHETIC,
]


def __getattr__(name: str):
    """Import `synthetic` when one of its functions is asked for.

    If the package imported it at once, `python -m msa_lab.data.synthetic` would load it twice
    and warn of that; and whoever only reads a file does not wait for scipy.
    """
    if name in _OF_SYNTHETIC:
        from msa_lab.data import synthetic

        return getattr(synthetic, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
