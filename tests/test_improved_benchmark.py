"""`benchmarks.improved_model`: each part is left out; no speaker is on both sides of a fold."""

import pandas as pd
import pytest
import torch

from benchmarks.improved_model import (
    PARTS,
    WORLDS,
    differences,
    markdown,
    without_part,
    write_folds,
)
from msa_lab.data import load_split
from msa_lab.data.synthetic import Settings
from msa_lab.study import set_seed, summarize
from msa_utils import ImprovedSentimentModel
from tests.conftest import SMALL


def speakers(split):
    return {name.split('[')[0] for name in split.ids}


@pytest.mark.parametrize('part', PARTS)
def test_a_part_that_is_left_out_changes_the_model_and_it_still_learns(part, batch):
    outputs = []
    for build in (ImprovedSentimentModel, lambda: without_part(part)):
        set_seed(0)
        model = build()
        set_seed(1)
        outputs.append(model(*batch))  # in training mode, so that dropout counts too
    assert not torch.allclose(*outputs)
    outputs[1].square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.parameters())


def test_without_vision_and_audio_neither_is_read(batch):
    vision, text, audio = batch
    model = without_part('vision and audio').eval()
    torch.testing.assert_close(
        model(vision, text, audio), model(torch.zeros_like(vision), text, torch.zeros_like(audio))
    )


def test_a_part_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match='no part'):
        without_part('gate')


@pytest.mark.filterwarnings('ignore::msa_lab.data.DataWarning')  # a fold's test is its valid
def test_no_speaker_is_on_both_sides_of_a_fold_and_no_test_utterance_in_any(tmp_path):
    settings = {**SMALL, 'videos': (6, 4, 4)}
    paths = write_folds(tmp_path, **settings)
    held_out = []
    for path in paths:
        train, valid, test = (load_split(path, name) for name in ('train', 'valid', 'test'))
        assert not speakers(train) & speakers(valid)
        assert len(train) + len(valid) == 97 + 33
        assert valid.ids == test.ids
        held_out += sorted(speakers(valid))
    assert sorted(held_out) == [f'standin{number:03d}' for number in range(10)]


def test_the_other_worlds_differ_from_the_lab_in_seed_and_setting():
    for settings in WORLDS.values():
        assert settings['seed'] not in (0, 1, 2)  # those of the calibration
        changed = [name for name in settings if getattr(Settings(), name) != settings[name]]
        assert len(changed) == 2


def test_the_table_gives_means_and_differences():
    results = pd.DataFrame(
        [
            {'experiment': name, 'seed': seed, 'test_MAE': value + 0.01 * seed, 'error': ''}
            for name, value in (('baseline', 1.0), ('improved model', 0.9))
            for seed in (0, 1)
        ]
    )
    table = differences(summarize(results, 'baseline'), ['test_MAE'])
    assert table.loc['baseline'].tolist() == ['1.005 +- 0.007', '']
    assert table.loc['improved model'].tolist() == ['0.905 +- 0.007', '-0.100 [-0.100, -0.100]']
    assert markdown(table).splitlines()[2] == '| baseline | 1.005 +- 0.007 |  |'
