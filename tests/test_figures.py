"""Every plot draws, without a warning, also from little data; nothing needs a display."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from msa_lab.report import drawing, figures
from msa_lab.study import summarize

rng = np.random.default_rng(0)
SCORES = rng.uniform(-3, 3, 40)
STEPS = list(range(1, 6))
SCALARS = {
    ('train', 'loss'): (STEPS, [5, 4, 3, 2, 1]),
    ('valid', 'loss'): (STEPS, [5, 4, 4, 4, 4]),
    ('valid', 'metrics/Corr'): (STEPS, [0.1, np.nan, 0.3, 0.2, 0.3]),
    ('train', 'lr'): (STEPS, [4, 3, 2, 1, 0]),
}
RESULTS = pd.DataFrame(
    [
        {'experiment': name, 'seed': seed, 'valid_Corr': 0.5 + 0.01 * seed * i, 'error': ''}
        for i, name in enumerate(('base', 'other', 'one seed'))
        for seed in range(1 if name == 'one seed' else 3)
    ]
)
SPLIT = {'video': np.repeat(['a', 'b', 'c', 'd'], 10), 'y_true': SCORES}
STUDY = pd.DataFrame(  # five experiments near each other and one far away, with predictions
    [
        {'experiment': name, 'seed': seed, 'run': f'{name}-{seed}', 'error': '', **SPLIT}
        | {
            'valid_Corr': corr + 0.01 * seed,
            'y_pred': SCORES + 0.1 * (seed + i) * rng.normal(size=40),
        }
        for i, (name, corr) in enumerate(
            {'base': 0.6, 'b': 0.59, 'c': 0.58, 'd': 0.56, 'e': 0.54, 'far': 0.1}.items()
        )
        for seed in range(3)
    ]
)
SPREADS = {'vision': np.zeros(9), 'text': np.ones(9), 'audio': rng.uniform(0, 9, 9)}
SWEEP = pd.DataFrame(
    [
        {'model': name, 'seed': seed, 'level': level, 'Corr': 0.6 - level + 0.01 * seed, 'MAE': 1.0}
        for name in ('baseline', 'improved model')
        for seed in (42, 43)
        for level in (0.0, 0.5)
    ]
)
SIZES = pd.DataFrame(
    [
        {'model': name, 'sentences': size, 'seed': seed, 'Corr': 0.1 * i + size / 1600 + 0.1 * seed}
        for i, name in enumerate(('ridge', 'baseline'))
        for size in (80, 160, 320)
        for seed in (0, 1)
    ]
)
UTTERANCES = [
    (['not', 'good'], [-0.2, 0.8], 'label +2.0'),
    (list('abcdefghijklmnopqrst'), np.full(20, 0.05), 'a long one'),
]
PLOTS = {
    'robustness': lambda: figures.robustness(SWEEP, 'noise'),
    'robustness by name': lambda: figures.robustness(
        SWEEP.replace({'level': {0.0: 'none', 0.5: 'text'}}), 'missing'
    ),
    'word_influence': lambda: figures.word_influence(UTTERANCES),
    'calibration': lambda: figures.calibration({'baseline': (SCORES, SCORES[::-1])}),
    'ablation': lambda: figures.ablation(RESULTS, summarize(RESULTS, 'base'), 'base'),
    'ablation with speakers': lambda: figures.ablation(STUDY, summarize(STUDY, 'base'), 'base'),
    'learning_curve': lambda: figures.learning_curve(SIZES),
    'layer_norm_statistics': lambda: figures.layer_norm_statistics(SPREADS, SPREADS),
    'losses': figures.losses,
    'label_histogram': lambda: figures.label_histogram({'train': SCORES, 'valid': SCORES[:1]}),
    'length_histogram': lambda: figures.length_histogram({'train': np.arange(1, 51)}, 50),
    'utterance': lambda: figures.utterance(
        {'vision': np.zeros((3, 35)), 'text': rng.normal(size=(3, 300)), 'audio': np.ones((3, 74))},
        ['not', 'so', 'good'],
    ),
    'metric_traps': figures.metric_traps,
    'predicted_against_true': lambda: figures.predicted_against_true(SCORES, SCORES[::-1]),
    'confusion': lambda: figures.confusion(SCORES, np.zeros(40)),
    'curves': lambda: figures.curves(SCALARS, best_epoch=3, floor=2.5),
    'one epoch': lambda: figures.curves({k: ([1], [v[1][0]]) for k, v in SCALARS.items()}, 1),
}


@pytest.mark.parametrize('name', PLOTS)
def test_each_function_returns_a_figure_that_draws(name, tmp_path):
    figure = PLOTS[name]()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / 'a.png')


def test_a_title_is_shown():
    """The notebook says there that the numbers are the stand-in's."""
    title = 'baseline (synthetic stand-in data, not CMU-MOSI)'
    for figure in (
        figures.label_histogram({'train': SCORES}, title),
        figures.length_histogram({'train': np.arange(1, 51)}, 50, title),
        figures.predicted_against_true(SCORES, SCORES, title),
        figures.confusion(SCORES, SCORES, title),
        figures.curves(SCALARS, title=title),
        figures.robustness(SWEEP, 'noise', title),
        figures.learning_curve(SIZES, title),
        figures.word_influence(UTTERANCES, title),
        figures.calibration({'baseline': (SCORES, SCORES)}, title),
    ):
        assert figure._suptitle.get_text() == title  # matplotlib 3.7 has no get_suptitle


def test_confusion_counts_every_utterance_in_its_row():
    figure = figures.confusion(np.array([-3, -3, 0, 2.6]), np.array([-2.6, 1.2, 0.4, 3.0]))
    counts = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert counts == {(0, 0): '1', (4, 0): '1', (3, 3): '1', (6, 6): '1'}


def test_the_modalities_have_three_colours_and_keep_them():
    """Whatever names a modality beside an axis is written in its colour, in every figure."""
    assert sorted(drawing.COLOURS) == ['audio', 'text', 'vision']
    assert len(set(drawing.COLOURS.values())) == 3
    runs = RESULTS.replace({'experiment': {'other': 'vision', 'one seed': 'text'}})
    sweep = SWEEP.assign(level=['nothing', 'audio'] * 4)
    frames = {name: rng.normal(size=(3, 4)) for name in drawing.COLOURS}
    named = set()
    for figure in (
        figures.ablation(runs, summarize(runs, 'base'), 'base'),
        figures.robustness(sweep, 'missing modality'),
        figures.utterance(frames, ['a', 'b', 'c']),
        figures.layer_norm_statistics(SPREADS, SPREADS),
    ):
        for ax in figure.axes:
            labels = ax.xaxis.label, ax.yaxis.label
            for text in (*ax.get_xticklabels(), *ax.get_yticklabels(), *labels):
                name = re.split('[:\n]', text.get_text())[0]
                if name in drawing.COLOURS:
                    assert text.get_color() == drawing.COLOURS[name]
                    named.add(name)
    assert named == set(drawing.COLOURS)


def test_a_sweep_is_drawn_as_changes_from_the_undamaged_input():
    """Each seed is compared with itself, and both panels have the same scale: down is worse."""
    sweep = SWEEP.assign(MAE=1 + 0.2 * SWEEP['level'])
    corr, mae = figures.robustness(sweep, 'noise').axes
    line = corr.get_lines()[0]
    assert line.get_xdata().tolist() == [0.0, 0.5]
    np.testing.assert_allclose(line.get_ydata(), [0, -0.5], atol=1e-12)
    np.testing.assert_allclose(mae.get_lines()[0].get_ydata(), [0, 0.1], atol=1e-12)
    assert corr.get_ylim() == tuple(-limit for limit in mae.get_ylim())
    assert corr.get_ylim()[0] < -0.5
    legends = [ax.get_legend().get_texts()[0].get_text() for ax in (corr, mae)]
    assert legends == ['baseline (Corr 1.02)', 'baseline (MAE 1.00)']


def test_the_undamaged_input_is_the_first_of_named_levels():
    sweep = SWEEP.replace({'level': {0.0: 'nothing', 0.5: 'audio'}})
    corr, _ = figures.robustness(sweep, 'missing modality').axes
    points = corr.containers[0][0].get_ydata().astype(float)
    np.testing.assert_allclose(points, [0, -0.5], atol=1e-12)


def test_the_two_intervals_of_an_ablation_look_different():
    summary = summarize(STUDY, 'base')
    figure = figures.ablation(STUDY, summary, 'base')
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    seeds, people = '95% interval, other seeds', '95% interval, other speakers'
    assert labels == ['mean of base', 'one seed', seeds, people]
    lines = {tuple(np.round(line.get_xdata(), 9)): line for line in figure.axes[0].get_lines()}
    base, row = summary.loc['base', ('valid_Corr', 'mean')], summary.loc['b', 'valid_Corr']
    over_seeds, over_people = (
        lines[tuple(np.round([base + row[low], base + row[high]], 9))]
        for low, high in (('low', 'high'), ('people_low', 'people_high'))
    )
    assert over_people.get_linewidth() > 2 * over_seeds.get_linewidth()
    assert over_people.get_color() != over_seeds.get_color()


def test_a_row_far_from_the_baseline_is_a_number_at_the_edge_of_an_ablation():
    """So that the others can be told apart: the axis would have to reach from 0.1 to 0.6."""
    (ax,) = figures.ablation(STUDY, summarize(STUDY, 'base'), 'base').axes
    low, high = ax.get_xlim()
    assert [text.get_text() for text in ax.texts] == ['mean 0.11']
    near = STUDY.loc[STUDY['experiment'] != 'far', 'valid_Corr']
    assert 0.11 < low < near.min() < near.max() < high


def test_a_learning_curve_has_a_tick_for_each_size():
    (ax,) = figures.learning_curve(SIZES).axes
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ['80', '160', '320']
    ridge, baseline = ax.get_lines()
    assert (ridge.get_label(), baseline.get_label()) == ('ridge', 'baseline')
    np.testing.assert_allclose(ridge.get_ydata(), [0.1, 0.15, 0.25])
    assert np.diff(ax.transData.transform(ridge.get_xydata())[:, 0]).std() < 1e-6  # it is doubled


def test_a_dollar_in_the_data_begins_no_formula():
    """MMSA calls an utterance `vid$_$3`; people say "$5"."""
    utterances = [(['$5', 'or', '$_$'], np.array([0.2, 0.3, 0.5]), 'vid$_$3')]
    frames = {name: np.random.default_rng(0).normal(size=(3, 4)) for name in drawing.COLOURS}
    for figure in (
        figures.word_influence(utterances, 'vid$_$3'),
        figures.utterance(frames, utterances[0][0], 'vid$_$3'),
    ):
        figure.canvas.draw()


def test_every_model_of_the_lab_has_a_colour_and_a_marker_of_its_own():
    assert list(drawing.MODEL_STYLES) == ['baseline', 'TFN', 'improved model', 'ridge']
    assert len({colour for colour, _ in drawing.MODEL_STYLES.values()}) == 4
    assert len({style[0] for _, style in drawing.MODEL_STYLES.values()}) == 4


def test_a_bar_for_each_word_up_or_down_and_one_scale():
    axes = figures.word_influence(UTTERANCES).axes
    assert [t.get_text() for t in axes[0].texts] == ['not', '-0.20', 'good', '+0.80']
    down, up = axes[0].patches
    assert (down.get_height(), up.get_height()) == (-0.2, 0.8)
    assert down.get_facecolor() != up.get_facecolor()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[1].texts[0].get_text() == 'g'  # the last 14 of 20 words


def test_a_calibrated_model_lies_on_the_diagonal_at_the_right():
    y_true = np.repeat([-2.0, -1.0, 1.0, 2.0], 10)
    y_pred = np.repeat([-1.5, 1.5], 20)  # right on average, and too tame for each label
    left, right = figures.calibration({'improved model': (y_true, y_pred)}).axes
    points = right.containers[0][0]
    np.testing.assert_allclose(points.get_xydata(), [[-2, -1.5], [2, 1.5]])
    points = left.containers[0][0]
    np.testing.assert_allclose(points.get_xydata()[:, 1], [-1.5, -1.5, 1.5, 1.5])
