"""Many trainings, one for each (experiment, seed): parallel, resumable, with statistics.

`run_study` trains and validates, `summarize` compares, `evaluate_chosen` reads the test split last.
The study knows none of the lab's code: data, training and evaluation come in as arguments.
"""

from msa_lab.study.runner import Experiment, evaluate_chosen, run_study
from msa_lab.study.seeds import set_seed
from msa_lab.study.statistics import join, summarize
from msa_lab.study.tables import difference_table, metrics_table, seeds_note

__all__ = [
    'Experiment',
    'difference_table',
    'evaluate_chosen',
    'join',
    'metrics_table',
    'run_study',
    'seeds_note',
    'set_seed',
    'summarize',
]
