"""What `make calibrate` concludes; its table is in `docs/stand-in.md`."""

import numpy as np
import pytest

from benchmarks.calibrate import TARGETS, oracle, report, verdict
from msa_lab.data.synthetic import Settings, World


@pytest.mark.parametrize(
    ('target', 'values', 'holds'),
    [
        ((0.1, 0.3), [0.30], True),
        ((0.1, 0.3), [0.301], False),  # the first data seed has no slack
        ((0.1, 0.3), [0.2, 0.39, 0.01], True),  # the others a band twice as wide
        ((0.1, 0.3), [0.2, 0.41], False),
        ((0.1, 0.3), [0.2, -0.01], False),
        ((None, 0.3), [0.29, 0.29], True),
        ((None, 0.3), [0.29, 0.31], False),  # no width, no slack
        ((1.5, None), [1.4], False),
        ('mean over data seeds > 0', [0.5, -0.1], True),
        ('mean over data seeds > 0', [0.1, -0.2], False),
    ],
)
def test_verdict(target, values, holds):
    assert bool(verdict(target, values)) is holds


def test_the_report_names_what_does_not_hold():
    inside = {
        row: 1.0 if isinstance(t, str) else np.mean([x for x in t if x is not None])
        for row, t in TARGETS.items()
    } | {'training MSE in epoch 12': 0.1}
    lines = report({0: inside | {'MAE': 1.2}}).splitlines()[2:]
    assert len(lines) == len(TARGETS)
    assert [line.split(' | ')[0] for line in lines if line.endswith('| NO |')] == ['| MAE']


def test_the_oracle_is_good_because_it_knows_which_utterances_are_ironic():
    settings = Settings(videos=(4, 4, 31), utterances=(4, 4, 2000), irony=0.3)
    fields, story = World(settings).split('test')
    labels = fields['labels'].ravel()
    informed = np.corrcoef(oracle(story, settings), labels)[0, 1]
    story.ironic[:] = False
    assert informed > 0.75
    assert np.corrcoef(oracle(story, settings), labels)[0, 1] < informed - 0.1
