"""The improved model of question 3: its parts, its promises about size, and the corruptions."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from msa_lab.models import count_parameters
from msa_lab.study import set_seed
from msa_utils import (
    ImprovedSentimentModel,
    MultimodalSentimentAnalysisModel,
    UtteranceSummary,
    WordDropout,
    corrupted,
    evaluate_test_split,
    fit,
    padding_mask,
    sweep,
    with_lost_frames,
    with_noise,
    without,
    word_influence,
)
from tests.helpers import assert_more_padding_changes_nothing, assert_utterances_do_not_mix


@pytest.fixture
def model(device):
    set_seed(0)
    return ImprovedSentimentModel().to(device).eval()


def test_a_score_for_every_utterance(model, batch, device):
    features = [x.to(device) for x in batch]
    for mode in (True, False):
        score = model.train(mode)(*features)
        assert score.shape == (16, 1)
        assert score.abs().max() < 3


def test_other_widths_and_lengths():
    model = ImprovedSentimentModel(vision_dim=20, text_dim=768, audio_dim=5)
    score = model(torch.randn(3, 11, 20), torch.randn(3, 11, 768), torch.randn(3, 11, 5))
    assert score.shape == (3, 1)


def test_at_most_three_times_the_baseline():
    baseline = count_parameters(MultimodalSentimentAnalysisModel())
    assert count_parameters(ImprovedSentimentModel()) <= 3 * baseline


def test_the_others_in_a_batch_and_the_padding_change_nothing(model, batch, device, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)  # else it rounds to 10 bits
    batch = [x.to(device) for x in batch]
    assert_utterances_do_not_mix(model, batch)
    assert_more_padding_changes_nothing(model, batch)


def test_every_parameter_learns(model, batch, device):
    model.train()(*(x.to(device) for x in batch)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_the_order_of_the_words_changes_nothing(model, batch, device):
    vision, text, audio = (x.to(device) for x in batch)
    real = ~padding_mask(vision, text, audio)
    shuffled = text.clone()
    for i in range(len(text)):
        shuffled[i, real[i]] = text[i, real[i]].flip(0)
    assert not torch.equal(shuffled, text)
    torch.testing.assert_close(model(vision, shuffled, audio), model(vision, text, audio))


def test_one_utterance_and_one_frame_can_be_trained_on(model, batch):
    model.cpu().train()
    features = [torch.zeros(1, 50, width) for width in (35, 300, 74)]
    for x, source in zip(features, batch, strict=True):
        x[:, -1] = source[:1, -1]
    loss = model(*features).square().sum()
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.vision_summary.norm.running_mean.eq(0).all()  # one frame has no statistics
    model(*batch)
    assert not model.vision_summary.norm.running_mean.eq(0).all()


@pytest.mark.parametrize('mode', [True, False])
def test_nothing_at_all_still_has_a_score(model, mode, device):
    features = [torch.zeros(2, 50, width, device=device) for width in (35, 300, 74)]
    assert model.train(mode)(*features).isfinite().all()


def test_trained_by_the_loops_of_the_lab(small_file, workdir):
    set_seed(0)
    model = ImprovedSentimentModel()
    history = fit(model, small_file, nn.MSELoss(), epochs=10, checkpoint='w.pth', quiet=True)
    assert history[-1]['train_loss'] < history[0]['train_loss']


def test_it_is_trained_with_the_mean_absolute_error():
    assert isinstance(ImprovedSentimentModel().criterion(), nn.L1Loss)


# Parts


def test_whole_words_are_hidden_and_only_in_training():
    set_seed(0)
    dropout, words = WordDropout(0.3), torch.ones(50, 40, 6)
    hidden = dropout(words)
    shares = hidden.mean(-1)
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    assert 0.25 < (shares == 0).float().mean() < 0.35
    assert torch.equal(dropout.eval()(words), words)


def test_a_summary_standardises_each_feature_over_the_frames_that_are_there():
    set_seed(0)
    summary = UtteranceSummary(3, p_modality=0.0).train()
    sequence = 100 + 10 * torch.randn(8, 20, 3)
    missing = torch.rand(8, 20) < 0.4
    sequence[missing] = 0
    standard = summary.standardize(sequence, missing)
    frames = standard[~missing]
    torch.testing.assert_close(frames.mean(0), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(3), atol=0.1, rtol=0)
    assert (standard[missing] == 0).all()
    sequence[0, 0], missing[0, 0] = 1e9, False
    assert summary.standardize(sequence, missing).abs().max() <= 3


def test_a_summary_is_zero_without_a_face():
    set_seed(0)
    summary = UtteranceSummary(3).eval()
    sequence, missing = torch.randn(2, 5, 3), torch.zeros(2, 5, dtype=torch.bool)
    sequence[1], missing[1] = 0, True
    vectors = summary(sequence, missing)
    assert vectors.shape == (2, 32)
    assert vectors[0].any()
    assert not vectors[1].any()


def test_an_utterance_loses_a_modality_while_training_only():
    set_seed(0)
    summary = UtteranceSummary(3, dropout=0.0, p_modality=0.25)
    sequence, missing = torch.randn(2000, 5, 3), torch.zeros(2000, 5, dtype=torch.bool)
    lost = (summary.train()(sequence, missing) == 0).all(1).float().mean()
    assert 0.2 < lost < 0.35
    assert (summary.eval()(sequence, missing) == 0).all(1).float().mean() < 0.1


# Corruptions


def test_a_missing_modality_is_all_zeros(batch):
    for i, name in enumerate(('vision', 'text', 'audio')):
        changed = without(name)(*batch)
        assert not changed[i].any()
        assert all(torch.equal(changed[j], batch[j]) for j in range(3) if j != i)


@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_frames_are_lost_whole_and_the_text_stays(batch, share):
    vision, text, audio = with_lost_frames(share)(*batch)
    assert torch.equal(text, batch[1])
    for before, after in ((batch[0], vision), (batch[2], audio)):
        there, kept = before.any(-1), after.any(-1)
        assert torch.equal(after[kept], before[kept])
        assert abs((there & ~kept).sum() / there.sum() - share) < 0.12
    again = with_lost_frames(share)(*batch)
    assert torch.equal(again[0], vision)  # the same frames for every model


def test_noise_is_in_units_of_each_feature_and_not_on_padding(batch):
    vision_sd, audio_sd = torch.full((35,), 2.0), torch.full((74,), 5.0)
    vision, text, audio = with_noise(1.5, vision_sd, audio_sd)(*batch)
    assert torch.equal(text, batch[1])
    for before, after, sd in ((batch[0], vision, 3.0), (batch[2], audio, 7.5)):
        there = before.any(-1)
        assert (after - before)[there].std().item() == pytest.approx(sd, rel=0.05)
        assert torch.equal(after[~there], before[~there])


def test_a_model_is_corrupted_within_the_block_only(model, batch):
    model = model.cpu()
    before = model(*batch)
    with corrupted(model, without('text')):
        torch.testing.assert_close(
            model(*batch), ImprovedSentimentModel.forward(model, *without('text')(*batch))
        )
        assert not torch.allclose(model(*batch), before)
    assert torch.equal(model(*batch), before)
    with pytest.raises(ZeroDivisionError), corrupted(model, without('text')):
        raise ZeroDivisionError
    assert torch.equal(model(*batch), before)


def test_corruption_reaches_the_one_reader_of_the_test_split(small_file, workdir):
    set_seed(0)
    model = ImprovedSentimentModel()
    torch.save(model.state_dict(), 'w.pth')

    def metrics():
        return evaluate_test_split(model, small_file, nn.MSELoss(), 'w.pth', quiet=True)[0]

    clean = metrics()
    with corrupted(model, with_lost_frames(1.0)):
        lost = metrics()
    with corrupted(model, without('vision')), corrupted(model, without('audio')):
        assert metrics() == lost
    assert metrics() == clean != lost


class SumOfWords(nn.Module):
    """A model whose score is the sum of the first feature of every word."""

    def forward(self, vision, text, audio):
        assert not self.training
        return text[:, :, :1].sum(1)


def test_the_influence_of_a_word_is_what_it_adds_to_the_score(batch, device):
    vision, text, audio = (x.to(device) for x in batch)
    before = text.clone()
    influence = word_influence(SumOfWords(), vision, text, audio)
    torch.testing.assert_close(influence, text[:, :, 0], atol=1e-4, rtol=0)
    assert torch.equal(text, before)


class MeanOfWords(nn.Module):
    """A model whose score is the mean of the first feature over the true steps."""

    def forward(self, vision, text, audio):
        real = ~padding_mask(vision, text, audio)
        return (text[:, :, 0].sum(1) / real.sum(1)).unsqueeze(1)


def test_without_voice_and_face_the_first_word_is_taken_out_and_others_are_emptied():
    text = torch.zeros(1, 4, 1)
    text[0, 1:, 0] = torch.tensor([3.0, 6.0, 9.0])
    influence = word_influence(MeanOfWords(), torch.zeros(1, 4, 1), text, torch.zeros(1, 4, 1))
    torch.testing.assert_close(influence, torch.tensor([[0.0, 6 - 7.5, 6 - 4.0, 6 - 3.0]]))


def test_padding_has_no_influence(model, batch, device):
    features = [x.to(device) for x in batch]
    influence = word_influence(model, *features)
    padding = padding_mask(*features)
    assert influence.shape == padding.shape
    assert (influence[padding] == 0).all()
    assert influence[~padding].any()


def test_a_sweep_shows_all_models_the_same_accidents(batch):
    scored = []

    def score(model, checkpoint):
        scored.append((checkpoint, model(*batch)))
        return {'Corr': 0.5, 'MAE': 1.0}, None

    set_seed(0)
    twin = ImprovedSentimentModel().eval()
    models = {('a', 42): (twin, 'a.pth'), ('b', 43): (twin, 'b.pth')}
    levels = {share: partial(with_lost_frames, share) for share in (0.0, 0.5)}
    table = sweep(models, levels, score)
    assert table[['model', 'seed', 'level']].values.tolist() == [
        ['a', 42, 0.0],
        ['a', 42, 0.5],
        ['b', 43, 0.0],
        ['b', 43, 0.5],
    ]
    assert [checkpoint for checkpoint, _ in scored] == ['a.pth', 'a.pth', 'b.pth', 'b.pth']
    assert torch.equal(scored[1][1], scored[3][1])
    assert not torch.equal(scored[0][1], scored[1][1])
