"""Draw the baseline model of the lab, from the three inputs to the sentiment score.

Run `python -m images.draw_framework` (`make figures`); it writes images/GeneralFramework.jpg.
"""

import numpy as np
from matplotlib.figure import Figure

from images.canvas import (
    BOX_HEIGHT,
    CARD_HEIGHT,
    GREY,
    INK,
    PURPLE,
    RADIUS,
    ROWS,
    arrow,
    blank_page,
    box,
    frame,
    input_card,
    node,
    save,
    write,
)
from msa_lab.report.figures import COLOURS

PANELS = {  # heading: left and right edge
    'Input features': (0.10, 2.68),
    'Unimodal encoders': (3.46, 7.49),
    'Fusion': (8.27, 10.84),
    'Regression head': (11.54, 13.10),
}
GAPS = 3.07, 7.88, 11.19  # the middle of the white strips between the panels
NORM, LINEAR, LSTM = (3.56, 4.41), (4.67, 5.39), (6.19, 7.39)
PLUS, FUSION, HEAD = 8.625, (9.62, 10.74), (11.64, 13.00)
CELL = 0.15


def lstm(ax, span, y, text, colour, name, used):
    """Draw an LSTM, its last `used` cells filled; return the top of the last cell."""
    box(ax, span, y, text, colour, name, dy=-0.2)
    xs, level = np.linspace(span[0] + 0.2, span[1] - 0.2, 4), y + 0.14
    for i, x in enumerate(xs):
        cell(ax, x, level, colour, filled=i >= 4 - used)
        if i:
            points = [(xs[i - 1] + CELL / 2, level), (x - CELL / 2, level)]
            arrow(ax, points, colour, head=5, width=0.9)
    return xs[-1], level + CELL / 2


def cell(ax, x, y, colour, filled):
    """Draw one time step of an LSTM."""
    face = colour if filled else 'white'
    frame(ax, x - CELL / 2, y - CELL / 2, CELL, CELL, colour, face, 0.03, lw=1, zorder=4)


def draw_encoder(ax, modality):
    """Draw one row: the input, LayerNorm, Linear + ReLU and the LSTM of a modality."""
    colour, y = COLOURS[modality], ROWS[modality]
    input_card(ax, modality, end=NORM[0], at=GAPS[0])
    box(ax, NORM, y, 'LayerNorm', colour, f'{modality}_norm')
    arrow(ax, [(NORM[1], y), (LINEAR[0], y)], colour)
    box(ax, LINEAR, y, 'Linear\n+ ReLU', colour, f'{modality}_fc')
    middle = (LINEAR[1] + LSTM[0]) / 2
    arrow(ax, [(LINEAR[1], y), (LSTM[0], y)], colour, '(B, 50, 128)', at=middle)
    lstm(ax, LSTM, y, 'LSTM', colour, f'{modality}_lstm', used=4)


def draw_fusion(ax):
    """Draw the sum of the three output sequences and the LSTM that reads it."""
    y = ROWS['text']
    for modality, level in ROWS.items():
        points = [(LSTM[1], level), (PLUS, level), (PLUS, y + RADIUS * np.sign(level - y))]
        if level == y:
            points = [(LSTM[1], y), (PLUS - RADIUS, y)]
        arrow(ax, points, COLOURS[modality], '(B, 50, 128)', 'output\nsequence', at=GAPS[1])
    node(ax, PLUS, y, PURPLE)
    for dx, dy in ((0.1, 0), (0, 0.1)):
        ax.plot([PLUS - dx, PLUS + dx], [y - dy, y + dy], color=PURPLE, lw=2, zorder=4)
    start, end = PLUS + RADIUS, FUSION[0]
    label, note = '(B, 50, 128)', 'element-\nwise sum'
    arrow(ax, [(start, y), (end, y)], PURPLE, label, note, at=(start + end) / 2)
    x, top = lstm(ax, FUSION, y, 'Fusion LSTM', PURPLE, 'mm_lstm', used=1)
    points = [(x, top), (x, ROWS['vision']), (HEAD[0], ROWS['vision'])]
    arrow(ax, points, PURPLE, '(B, 128)', 'last hidden\nstate', at=GAPS[2])


def draw_head(ax):
    """Draw the regression head from top to bottom, ending in the scale of the score."""
    x, half, card = sum(HEAD) / 2, BOX_HEIGHT / 2, CARD_HEIGHT / 2
    top, middle, bottom = ROWS.values()
    box(ax, HEAD, top, 'Linear 128 → 1', GREY, 'fc', name_dx=-0.24)
    box(ax, HEAD, middle, 'sigmoid, scaled\nto (−3, 3)', GREY)
    for start, end in ((top - half, middle + half), (middle - half, bottom + card)):
        arrow(ax, [(x, start), (x, end)], GREY)
        write(ax, x + 0.1, (start + end) / 2, '(B, 1)', ha='left')
    frame(ax, HEAD[0], bottom - card, HEAD[1] - HEAD[0], CARD_HEIGHT, GREY, 'white')
    write(ax, x, bottom + 0.24, 'sentiment score', 9, weight='bold', va='baseline')
    y, unit = bottom + 0.03, 0.18
    ax.plot([x - 3 * unit, x + 3 * unit], [y, y], color=INK, lw=1.2, zorder=4)
    for value in range(-3, 4):
        tick = 0.05 if value % 3 == 0 else 0.03
        ax.plot([x + value * unit] * 2, [y - tick, y + tick], color=INK, lw=1, zorder=4)
    for value, label in ((-3, '−3'), (0, '0'), (3, '+3')):
        write(ax, x + value * unit, y - 0.2, label, va='baseline')
    for value, label in ((-2.1, 'negative'), (2.1, 'positive')):
        write(ax, x + value * unit, y - 0.38, label, colour=GREY, va='baseline')
    ax.plot(x + 1.5 * unit, y, 'o', color=PURPLE, markersize=8, zorder=5)


def draw_key(ax):
    """Write what the letters and the cells stand for, below the panels."""
    low, style = 0.20, {'colour': GREY, 'va': 'baseline'}
    text = 'B: batch size     50: time steps, padded at the front     128: hidden size'
    write(ax, PANELS['Input features'][0], low, text, ha='left', **style)
    write(ax, 11.74, low, 'LSTM step whose output is', ha='right', **style)
    for x, text in ((11.90, 'used'), (12.50, 'dropped')):
        cell(ax, x, low + 0.04, GREY, filled=text == 'used')
        write(ax, x + 0.13, low, text, ha='left', **style)


def draw() -> Figure:
    """Draw the whole figure."""
    fig, ax = blank_page(PANELS, low=0.50, height=5.02)
    for modality in COLOURS:
        draw_encoder(ax, modality)
    draw_fusion(ax)
    draw_head(ax)
    draw_key(ax)
    return fig


if __name__ == '__main__':
    save(draw(), 'GeneralFramework.jpg')
