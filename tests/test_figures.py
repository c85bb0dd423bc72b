"""Every plot draws, without a warning, also from little data; nothing needs a display."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from msa_lab import figures
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
SPREADS = {'vision': np.zeros(9), 'text': np.ones(9), 'audio': rng.uniform(0, 9, 9)}
PLOTS = {
    'ablation': lambda: figures.ablation(RESULTS, summarize(RESULTS, 'base'), 'base'),
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
    ):
        assert figure.get_suptitle() == title


def test_confusion_counts_every_utterance_in_its_row():
    figure = figures.confusion(np.array([-3, -3, 0, 2.6]), np.array([-2.6, 1.2, 0.4, 3.0]))
    counts = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert counts == {(0, 0): '1', (4, 0): '1', (3, 3): '1', (6, 6): '1'}


def test_the_modalities_have_three_colours_and_keep_them():
    assert sorted(figures.COLOURS) == ['audio', 'text', 'vision']
    assert len(set(figures.COLOURS.values())) == 3
