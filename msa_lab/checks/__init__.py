"""Self-checks with teaching messages: one `check_*` for each TODO of the notebook.

A check takes what the student wrote; it prints one line when that is right, else it raises
`CheckFailed`, whose message in Chinese says the likely mistake, what was expected and what came.
Grades depend on them: a check must accept every right solution and bring its own data and doubles.
"""

from msa_lab.checks.accuracy import check_accuracy
from msa_lab.checks.attention import check_attention
from msa_lab.checks.baseline import check_fusion, check_layer_norms, check_lstms, check_output
from msa_lab.checks.configurable_model import check_modalities
from msa_lab.checks.dataset import check_dataset
from msa_lab.checks.evaluate import check_evaluate
from msa_lab.checks.experiments import check_experiments
from msa_lab.checks.failure import CheckFailed
from msa_lab.checks.improved_model import check_improved
from msa_lab.checks.tensorboard import check_logging
from msa_lab.checks.train_epoch import check_train_epoch
from msa_lab.checks.training_setup import check_main
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
    'check_modalities',
    'check_output',
    'check_train_epoch',
    'check_transformer',
]
