"""What the figures of the lab share: colours, styles, and a figure to draw in.

A colour means the same thing in every figure: there is one for each modality, split and model, and
colour-blind readers can tell them apart.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

COLOURS = {'vision': '#0072B2', 'text': '#D55E00', 'audio': '#009E73'}
SPLIT_COLOURS = {'train': '#4D4D4D', 'valid': '#CC79A7', 'test': '#E69F00'}
ACCENT = '#6A51A3'
RAISES, LOWERS = ACCENT, '#8C6D31'  # what raises and what lowers a score
MODEL_STYLES = {  # colour, and marker with line style
    'baseline': ('#4D4D4D', 'o-'),
    'TFN': ('#E69F00', 's--'),
    'improved model': (ACCENT, 'D-'),
    'ridge': ('#56B4E9', '^-.'),
}
INTERVALS = {  # how figures tell apart the two intervals of `summarize`
    ('low', 'high'): ('95% interval, other seeds', dict(color='black', linewidth=1.1)),
    ('people_low', 'people_high'): (
        '95% interval, other speakers',
        dict(color='#AAAAAA', linewidth=4, solid_capstyle='butt'),
    ),
}
SCORES = np.arange(-3, 4)


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, title: str = '', **kwargs: Any
) -> tuple[Figure, Any]:
    """A Figure of that size in inches and its axes, without lines at the top and at the right.

    The keywords go to `Figure.subplots`, which returns the axes: one, or an array of them.
    """
    figure = Figure(figsize=(width, height), layout='constrained', dpi=100)
    axes = figure.subplots(rows, columns, **kwargs)
    for ax in np.ravel(axes):
        ax.spines[['top', 'right']].set_visible(False)
    if title:
        figure.suptitle(without_formulas(title), fontsize=11)
    return figure, axes


def without_formulas(text: str) -> str:
    """Text that matplotlib draws unchanged: without this, a `$` in it would begin a formula."""
    return text.replace('$', r'\$')


def colour_modalities(labels: Iterable[Text]) -> None:
    """Give every tick label that names a modality the colour of this modality."""
    for label in labels:
        label.set_color(COLOURS.get(label.get_text(), 'black'))
