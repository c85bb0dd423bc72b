"""Question 3: the candidates, and the folds of speakers on which they are compared."""

from functools import partial

import pandas as pd
import pytest
import torch
from torch import nn

import msa_utils
from benchmarks import improved_model
from benchmarks.candidates import (
    CANDIDATES,
    PARTS,
    SHARED_PARTS,
    AttentionPooling,
    AveragedWeights,
    GatedModel,
    GatedShift,
    PackedLSTM,
    SwappedWords,
    without_part,
)
from benchmarks.improved_model import CHOSEN, FOLDS, differences, markdown, write_folds
from msa_lab.data import SPLITS, load_split, padding_mask
from msa_lab.data.synthetic import write_standin
from msa_lab.study import Experiment, evaluate_chosen, run_study, set_seed, summarize
from msa_utils import ImprovedSentimentModel, eval_mosi_regression, make_loader
from tests.conftest import SMALL


@pytest.fixture(scope='module')
def labelled(small_file):
    """Vision, text, audio and labels of 16 utterances."""
    return next(iter(make_loader(small_file, 'valid')))


@pytest.mark.parametrize('name', CANDIDATES)
def test_every_candidate_scores_in_the_range_of_the_labels_and_learns(name, labelled):
    *features, labels = labelled
    set_seed(0)
    model = CANDIDATES[name]()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)

    def loss():
        return nn.functional.mse_loss(model(*features).squeeze(1), labels)

    with torch.no_grad():
        model.eval()
        before = loss()
    for _ in range(12):
        model.train()
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    with torch.no_grad():
        model.eval()
        assert loss() < 0.95 * before
        for layer in model.modules():
            if isinstance(layer, nn.Linear) and layer.out_features == 1 and layer.bias is not None:
                nn.init.constant_(layer.bias, 1000)
        scores = model(*features)
    assert scores.shape == (16, 1)
    torch.testing.assert_close(scores, torch.full((16, 1), 3.0))


@pytest.mark.parametrize(
    ('whole', 'part'),
    [
        *((GatedModel, part) for part in PARTS),
        *((ImprovedSentimentModel, part) for part in SHARED_PARTS),
    ],
)
def test_a_part_that_is_left_out_changes_the_model(whole, part, batch):
    outputs = []
    for build in (whole, partial(without_part, part, whole)):
        set_seed(0)
        model = build()
        set_seed(1)
        outputs.append(model(*batch))  # in training mode, so that dropout counts too
    assert not torch.allclose(*outputs)


@pytest.mark.parametrize('whole', [GatedModel, ImprovedSentimentModel])
def test_without_vision_and_audio_neither_is_read(whole, batch):
    vision, text, audio = batch
    model = without_part('vision and audio', whole).eval()
    torch.testing.assert_close(
        model(vision, text, audio), model(torch.zeros_like(vision), text, torch.zeros_like(audio))
    )


def test_a_part_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match='no part'):
        without_part('gate')


class Recorder(nn.Module):
    """A weight and a count of batches, for a test to set between two steps."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer('batches', torch.tensor(0))

    def forward(self, vision, text, audio):
        return self.weight.sum().expand(len(vision), 1)


def test_averaged_weights_are_the_mean_of_the_first_steps_and_what_is_evaluated(batch):
    model = AveragedWeights(Recorder())
    values = [1.0, 2.0, 6.0]
    for number, value in enumerate(values, start=1):
        nn.init.constant_(model.model.weight, value)
        model.model.batches += 1
        assert model.train()(*batch)[0] == 2 * value  # trained with the weights themselves
        expected = 2 * sum(values[:number]) / number
        torch.testing.assert_close(model.eval()(*batch)[0], torch.tensor([expected]))
    assert model.average.batches == 3
    assert not any(p.requires_grad for p in model.average.parameters())


def test_averaged_weights_forget_the_first_steps_in_the_end(batch):
    model = AveragedWeights(Recorder(), decay=0.5)
    for value in (100.0, 0.0, 0.0, 0.0, 0.0):
        nn.init.constant_(model.model.weight, value)
        model.train()(*batch)
    assert 0 < model.eval()(*batch)[0] < 100 * 2 / 5  # less than in the plain mean


def test_swapped_words_keep_every_step_and_leave_the_padding(batch):
    """Some steps change places with a neighbour; each is still there, and none twice."""
    _, text, _ = batch
    padding = padding_mask(*batch)
    model = SwappedWords()
    for seed in range(5):
        set_seed(seed)
        swapped = model.swap(text, padding)
        moved = (swapped != text).any(-1)
        assert 0.05 < moved[~padding].float().mean() < 0.4
        assert not moved[padding].any()
        for before, after in zip(text, swapped, strict=True):
            assert sorted(map(tuple, before.tolist())) == sorted(map(tuple, after.tolist()))


def test_words_are_swapped_in_training_only(batch):
    model = SwappedWords()
    torch.testing.assert_close(model.eval()(*batch), model.model.eval()(*batch))
    seen = []
    model.model.register_forward_pre_hook(lambda module, args: seen.append(args))
    model.train()(*batch)
    ((vision, text, audio),) = seen
    assert torch.equal(vision, batch[0])
    assert torch.equal(audio, batch[2])
    assert not torch.equal(text, batch[1])


@pytest.fixture(scope='module')
def folds(tmp_path_factory):
    """A file with ten speakers to choose on and four to test on, and the files of its folds."""
    folder = tmp_path_factory.mktemp('folds')
    write_standin(folder / 'source.pkl', **{**SMALL, 'videos': (6, 4, 4)})
    return folder / 'source.pkl', write_folds(folder / 'source.pkl', folder / 'folds')


def speakers(path, name):
    return set(load_split(path, name).videos)


def test_no_speaker_is_on_two_sides_of_a_fold(folds):
    for path in folds[1]:
        train, valid, test = (speakers(path, name) for name in SPLITS)
        assert not train & valid
        assert not train & test
        assert not valid & test


def test_every_speaker_is_held_out_once(folds):
    source, paths = folds
    held_out = [speaker for path in paths for speaker in speakers(path, 'test')]
    assert len(paths) == FOLDS == 5
    assert sorted(held_out) == sorted(speakers(source, 'train') | speakers(source, 'valid'))


def test_a_fold_has_all_utterances_to_choose_on_and_none_to_test_on(folds):
    source, paths = folds
    usable = {*load_split(source, 'train').ids, *load_split(source, 'valid').ids}
    for path in paths:
        ids = [name for split in SPLITS for name in load_split(path, split).ids]
        assert len(ids) == len(set(ids))
        assert set(ids) == usable


def test_an_utterance_of_a_fold_has_its_own_features_and_label(folds):
    source, paths = folds
    splits = [load_split(source, name) for name in ('train', 'valid')]
    owners = {name: (split, row) for split in splits for row, name in enumerate(split.ids)}
    data = load_split(paths[0], 'test')
    for row, name in enumerate(data.ids):
        split, source_row = owners[name]
        for field in ('vision', 'text', 'audio', 'labels'):
            assert (getattr(data, field)[row] == getattr(split, field)[source_row]).all()


@pytest.fixture
def own_runs(tmp_path, monkeypatch):
    """The folder of the runs, in place of `runs/improved_model`; one process trains."""
    monkeypatch.setattr(improved_model, 'RUNS', tmp_path)
    for function in (run_study, evaluate_chosen):
        monkeypatch.setattr(improved_model, function.__name__, partial(function, n_jobs=1))
    return tmp_path


def test_the_epoch_is_chosen_on_validation_and_the_held_out_fifth_is_read_last(
    folds, own_runs, monkeypatch
):
    read = []

    def watched(self, data_path, split='train', original=msa_utils.MOSIDataset.__init__):
        read.append((split, (own_runs / 'choice.txt').exists()))
        original(self, data_path, split)

    monkeypatch.setattr(msa_utils.MOSIDataset, '__init__', watched)
    experiments = [Experiment('improved model', ImprovedSentimentModel)]
    results = improved_model.study(experiments, folds[1][0], [42], 2)
    assert read == [*((split, False) for split in ('train', 'valid', 'valid')), ('test', True)]
    held_out = load_split(folds[1][0], 'test')
    row = results.iloc[0]
    assert row['y_true'] == pytest.approx(held_out.labels)
    metrics = eval_mosi_regression(torch.tensor(row['y_pred']), torch.tensor(row['y_true']))
    assert row[[f'test_{name}' for name in metrics]].to_dict() == pytest.approx(
        {f'test_{name}': value for name, value in metrics.items()}, nan_ok=True
    )


def test_the_choice_is_printed_with_the_simple_models(folds, own_runs, monkeypatch, capsys):
    monkeypatch.setattr(improved_model, 'ensure_data', lambda name: folds[0])
    improved_model.measure_choice(1, [42], ['words, averaged', CHOSEN])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('|')]
    rows = {line.split(' | ')[0].removeprefix('| '): line.split(' | ')[1:] for line in lines}
    assert list(rows)[2:] == ['words, averaged', CHOSEN, 'constant', 'ridge', 'SVR']
    assert rows['constant'][:2] == ['undefined', '']


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


def test_the_packed_lstm_is_an_lstm_over_the_true_steps():
    set_seed(0)
    lstm = PackedLSTM(7, 5, batch_first=True, bidirectional=True)
    lengths, sequence = (4, 9, 1, 6), torch.randn(4, 9, 7)
    padding = torch.arange(9) < 9 - torch.tensor(lengths).unsqueeze(1)
    output = lstm(sequence, padding)
    for i, length in enumerate(lengths):
        expected, _ = nn.LSTM.forward(lstm, sequence[i : i + 1, -length:])
        torch.testing.assert_close(output[i, -length:], expected[0])
        assert (output[i, : 9 - length] == 0).all()


def test_no_face_and_no_voice_is_no_shift():
    shift, words = GatedShift(8, 4), torch.randn(2, 3, 8)
    nothing = torch.zeros(2, 4)
    torch.testing.assert_close(shift(words, nothing, nothing), shift.norm(words))
    moved = shift(words, torch.ones(2, 4), nothing)
    assert not torch.allclose(moved, shift.norm(words))


def test_words_averaged_are_trained_with_both_losses():
    losses = {name: CANDIDATES[name]().criterion() for name in ('words, averaged', CHOSEN)}
    assert isinstance(losses['words, averaged'], nn.MSELoss)
    assert isinstance(losses[CHOSEN], nn.L1Loss)


def test_attention_pooling_is_a_weighted_mean():
    pooling, words = AttentionPooling(4), torch.randn(2, 5, 4)
    padding = torch.tensor([[True, True, False, False, False], [False] * 5])
    pooled = pooling(words, padding)
    for i, true_steps in enumerate((words[0, 2:], words[1])):
        weights = pooling.score(true_steps).softmax(dim=0)  # (true steps, 1)
        torch.testing.assert_close(pooled[i], (weights * true_steps).sum(0))
