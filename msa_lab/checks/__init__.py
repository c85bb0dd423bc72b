"""Self-checks with teaching messages: one `check_*` for each TODO of the notebook.

A check takes what the student wrote; it prints one line when that is right, else it raises
`CheckFailed`, whose message in Chinese says the likely mistake, what was expected and what came.
Grades depend on them: a check must accept every right solution and bring its own data and doubles.
"""

from msa_lab.checks.accuracy import check_accuracy
from msa_lab.checks.attention import check_cross_attention, check_self_attention
from msa_lab.checks.baseline import check_fusion, check_layer_norms, check_lstms, check_output
from msa_lab.checks.configurable_model import check_modalities
from msa_lab.checks.dataset import check_dataset
from msa_lab.checks.evaluate import check_evaluate
from msa_lab.checks.experiments import (
    check_encoder_experiments,
    check_fusion_experiments,
    check_loss_experiments,
    check_modality_experiments,
    check_norm_experiments,
)
from msa_lab.checks.failure import CheckFailed
from msa_lab.checks.improved_model import check_improved
from msa_lab.checks.tensorboard import check_logging
from msa_lab.checks.train_epoch import check_train_epoch
from msa_lab.checks.training_setup import check_fit, check_loader, check_main
from msa_lab.checks.transformer import check_positions, check_transformer

__all__ = [
    'CheckFailed',
    'check_accuracy',
    'check_cross_attention',
    'check_dataset',
    'check_encoder_experiments',
    'check_evaluate',
    'check_fit',
    'check_fusion',
    'check_fusion_experiments',
    'check_improved',
    'check_layer_norms',
    'check_loader',
    'check_logging',
    'check_loss_experiments',
    'check_lstms',
    'check_main',
    'check_modalities',
    'check_modality_experiments',
    'check_norm_experiments',
    'check_output',
    'check_positions',
    'check_self_attention',
    'check_train_epoch',
    'check_transformer',
]
