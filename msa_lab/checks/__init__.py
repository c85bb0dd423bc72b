"""Self-checks with teaching messages: one for each TODO of the notebook, by its number.

A check takes what the student wrote. It prints one line when all is well, else it raises
`CheckFailed`, whose Chinese message names the likely mistake, what was expected and what came.
It brings its own small data and doubles for what other tasks provide, so that a mistake in one
task is told once; it judges by what the code does, not by how it is written.
"""

from msa_lab.checks.ablations import check_attention, check_modalities
from msa_lab.checks.baseline import (
    check_dataset,
    check_fusion,
    check_layer_norms,
    check_lstms,
    check_model,
    check_output,
)
from msa_lab.checks.improved_model import check_improved
from msa_lab.checks.main import check_main
from msa_lab.checks.metrics import check_accuracy, check_evaluate, check_metrics
from msa_lab.checks.questions import check_experiments, check_logging
from msa_lab.checks.tools import CheckFailed
from msa_lab.checks.training import check_train_epoch, check_training
from msa_lab.checks.transformer import check_transformer

__all__ = [
    'CheckFailed',
    'check_accuracy',
    'check_attention',
    'check_dataset',
    'check_evaluate',
    'check_experiments',
    'check_fusion',
    'check_improved',
    'check_layer_norms',
    'check_logging',
    'check_lstms',
    'check_main',
    'check_metrics',
    'check_modalities',
    'check_model',
    'check_output',
    'check_train_epoch',
    'check_training',
    'check_transformer',
]
