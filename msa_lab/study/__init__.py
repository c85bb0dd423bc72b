"""Many trainings, one for each (experiment, seed): parallel, resumable, with statistics.

`run_study` trains, `summarize` compares; tables and sentences for the notebook are made from both.
The study knows none of the lab's code: data, training and evaluation come in as arguments.
"""

from msa_lab.study.runner import Experiment, run_study
from msa_lab.study.seeds import set_seed
from msa_lab.study.statistics import summarize
from msa_lab.study.tables import ablation_table, difference_in_words, metrics_table, seeds_note

__all__ = [
    'Experiment',
    'ablation_table',
    'difference_in_words',
    'metrics_table',
    'run_study',
    'seeds_note',
    'set_seed',
    'summarize',
]
