"""Files that are never left half written, checkpoints, and TensorBoard's event files.

`atomic_write` is exported here. Import `msa_lab.files.checkpoints` (needs torch) and
`msa_lab.files.tensorboard_logs` by their own names. A kill at any moment must leave a whole file.
"""

from msa_lab.files.atomic import atomic_write

__all__ = ['atomic_write']
