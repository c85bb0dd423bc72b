"""What `make calibrate` concludes; its table is in `docs/stand-ins.md`."""

import numpy as np
import pytest

from benchmarks.calibrate import CALIBRATIONS, Training, oracle, report, train_once, verdict
from msa_lab.data import METRICS, load_split
from msa_lab.data.reviews import ARCHIVE
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


@pytest.mark.parametrize('calibration', CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_the_report_names_what_does_not_hold(calibration):
    inside = {
        row: 1.0 if isinstance(t, str) else np.mean([x for x in t if x is not None])
        for row, t in calibration.targets.items()
    }
    if 'training MSE in epoch 12' in inside:
        inside['training MSE in epoch 12'] = 0.1
    lines = report({0: inside | {'MAE': 1.2}}, calibration.targets).splitlines()[2:]
    assert len(lines) == len(calibration.targets)
    assert [line.split(' | ')[0] for line in lines if line.endswith('| NO |')] == ['| MAE']


@pytest.mark.parametrize('name', CALIBRATIONS)
def test_every_target_is_measured(name, tmp_path):
    if name == 'reviews' and not ARCHIVE.is_file():
        pytest.skip('the sentences have not been fetched')
    calibration, sizes = CALIBRATIONS[name], dict(videos=(3, 2, 2), utterances=(20, 8, 90))
    calibration.write(tmp_path / 'data.pkl', **sizes)
    history = [{'train_loss': 1.0, 'valid_loss': 2.0}] * 12
    run = Training(history, dict.fromkeys(METRICS, 0.5), np.zeros(90))
    runs = {(model, 42): run for model in calibration.models}
    measured = calibration.measure(tmp_path / 'data.pkl', calibration.settings(**sizes), runs)
    assert set(calibration.targets) <= set(measured)


def test_a_training_is_tested(small_file):
    training = train_once('text', small_file, seed=42, epochs=2)
    labels = load_split(small_file, 'test').labels
    assert [record['epoch'] for record in training.history] == [1, 2]
    assert training.predictions.shape == labels.shape
    error = np.abs(training.predictions - labels).mean()
    assert training.metrics['MAE'] == pytest.approx(error, abs=1e-4)


def test_the_oracle_is_good_because_it_knows_which_utterances_are_ironic():
    settings = Settings(videos=(4, 4, 31), utterances=(4, 4, 2000), irony=0.3)
    fields, story = World(settings).split('test')
    labels = fields['labels'].ravel()
    informed = np.corrcoef(oracle(story, settings), labels)[0, 1]
    story.ironic[:] = False
    assert informed > 0.75
    assert np.corrcoef(oracle(story, settings), labels)[0, 1] < informed - 0.1
