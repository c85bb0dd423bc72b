"""Draw the baseline model of the lab, from the three inputs to the sentiment score.

Run `python -m images.draw_framework` (`make figures`); it writes images/GeneralFramework.jpg.
One unit of the drawing is one inch on paper, so every length below is also a print size.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Route

from msa_lab.report.figures import COLOURS

PURPLE, INK, GREY, PANEL = '#6A51A3', '#262626', '#595959', '#F3F3F1'

WIDTH, HEIGHT, DPI = 13.2, 6.2, 160
ROWS = {'vision': 4.6, 'text': 2.975, 'audio': 1.35}  # the centre line of each modality
SOURCES = {
    'vision': ('Vision (FACET/OpenFace)', 35),
    'text': ('Text (GloVe)', 300),
    'audio': ('Audio (COVAREP)', 74),
}
PANELS = {  # heading: left and right edge
    'Input features': (0.10, 2.68),
    'Unimodal encoders': (3.46, 7.49),
    'Fusion': (8.27, 10.84),
    'Regression head': (11.54, 13.10),
}
GAPS = 3.07, 7.88, 11.19  # the middle of the white strips between the panels
CARD, NORM, LINEAR, LSTM = (0.20, 2.58), (3.56, 4.41), (4.67, 5.39), (6.19, 7.39)
PLUS, FUSION, HEAD = 8.625, (9.62, 10.74), (11.64, 13.00)
BOX_HEIGHT, CARD_HEIGHT, RADIUS, CELL = 0.80, 0.96, 0.19, 0.15


def tint(colour, strength):
    """Mix a colour with white; strength 1 keeps it, 0 gives white."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return tuple(1 - strength * (1 - rgb))


def write(ax, x, y, text, size=8, colour=INK, **style):
    """Write text centred on (x, y), unless the style says otherwise."""
    style = {'ha': 'center', 'va': 'center', 'linespacing': 1.15, **style}
    ax.text(x, y, text, fontsize=size, color=colour, zorder=6, **style)


def frame(ax, x, y, width, height, edge, face, rounding=0.06, **style):
    """Draw a rectangle with round corners, given its lower left corner."""
    shape = f'round,pad=0,rounding_size={rounding}'
    style = {'linewidth': 1.2, 'zorder': 3, **style}
    ax.add_patch(FancyBboxPatch((x, y), width, height, shape, ec=edge, fc=face, **style))


def box(ax, span, y, text, colour, name=None, dy=0.0, name_dx=0.0):
    """Draw a layer: its box around y, its title, and below it its name in the code."""
    left, right = span
    frame(ax, left, y - BOX_HEIGHT / 2, right - left, BOX_HEIGHT, colour, tint(colour, 0.13))
    write(ax, (left + right) / 2, y + dy, text, 9)
    if name:
        x, below = (left + right) / 2 + name_dx, y - BOX_HEIGHT / 2 - 0.14
        write(ax, x, below, name, 8, GREY, family='monospace')


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


def arrow(ax, points, colour, above='', below='', at=0.0, head=9, width=1.4):
    """Draw an arrow along the points, with labels above and below its level part at x = at."""
    style = {'arrowstyle': '-|>', 'mutation_scale': head, 'lw': width, 'joinstyle': 'miter'}
    ax.add_patch(FancyArrowPatch(path=Route(points), color=colour, zorder=5, **style))
    level = next((a[1] for a, b in pairwise(points) if a[1] == b[1]), 0)
    if above:
        write(ax, at, level + 0.06, above, va='bottom')
    if below:
        write(ax, at, level - 0.07, below, colour=GREY, va='top')


def icon_vision(ax, x, y, colour):
    """Draw a stack of four video frames; the front one shows a face."""
    width, height = 0.96, 0.64
    for i in range(4):
        left, low = x - 0.93 + 0.3 * i, y - height / 2 + 0.09 - 0.06 * i
        frame(ax, left, low, width, height, colour, tint(colour, 0.24 - 0.06 * i), 0.03, lw=1)
    x, y = left + width / 2, low + height / 2
    parts = [
        Ellipse((x, low), 0.60, 0.36, fc=tint(colour, 0.55), ec='none'),
        Ellipse((x, y + 0.04), 0.34, 0.42, fc='white', ec=colour, lw=1.1),
        Arc((x, y), 0.17, 0.15, theta1=200, theta2=340, color=colour, lw=1.1),
    ]
    for eye in (x - 0.07, x + 0.07):
        parts.append(Circle((eye, y + 0.07), 0.018, fc=colour, ec='none'))
        parts.append(Arc((eye, y + 0.11), 0.08, 0.05, theta1=20, theta2=160, color=colour))
    inside = Rectangle((left, low + 0.008), width, height, transform=ax.transData)
    for part in parts:
        ax.add_patch(part).set(zorder=4, clip_path=inside)


def icon_text(ax, x, y, colour):
    """Draw a transcript word by word, after three empty steps of padding."""
    words = ['', '', '', 'the', 'movie', 'was', 'not', 'bad']
    widths = [0.13, 0.13, 0.13, 0.28, 0.44, 0.32, 0.28, 0.31]
    gap, height = 0.03, 0.27
    left = x - (sum(widths) + gap * 7) / 2 + np.cumsum([0, *widths]) + gap * np.arange(9)
    for word, width, start in zip(words, widths, left, strict=False):
        face, edge = (tint(colour, 0.16), colour) if word else ('white', GREY)
        dashes = '-' if word else (0, (2, 1.5))
        frame(ax, start, y - 0.02, width, height, edge, face, 0.03, lw=0.9, linestyle=dashes)
        write(ax, start + width / 2, y + 0.08, word, va='baseline')
    for start, end, label in ((0, 3, 'padding'), (3, 8, 'words')):
        a, b = left[start], left[end] - gap
        ax.plot([a, a, b, b], y - np.array([0.07, 0.11, 0.11, 0.07]), color=GREY, lw=0.8, zorder=4)
        write(ax, (a + b) / 2, y - 0.27, label, colour=GREY, va='baseline')


def icon_audio(ax, x, y, colour):
    """Draw the waveform of a few bursts of speech."""
    time = np.linspace(0, 1, 61)
    bursts = [(0.17, 0.07, 0.7), (0.42, 0.09, 1.0), (0.66, 0.05, 0.6), (0.85, 0.06, 0.8)]
    envelope = sum(a * np.exp(-(((time - c) / w) ** 2)) for c, w, a in bursts)
    swing = np.random.default_rng(3).uniform(0.45, 1.0, time.size)
    half = 0.02 + 0.33 * envelope * swing
    ax.vlines(x - 1.05 + 2.1 * time, y - half, y + half, color=colour, lw=1.5, zorder=4)


def draw_encoder(ax, modality):
    """Draw one row: the input, LayerNorm, Linear + ReLU and the LSTM of a modality."""
    colour, y = COLOURS[modality], ROWS[modality]
    label, features = SOURCES[modality]
    icon = {'vision': icon_vision, 'text': icon_text, 'audio': icon_audio}[modality]
    frame(ax, CARD[0], y - CARD_HEIGHT / 2, CARD[1] - CARD[0], CARD_HEIGHT, colour, 'white')
    icon(ax, (CARD[0] + CARD[1]) / 2, y, colour)
    write(ax, CARD[0], y + CARD_HEIGHT / 2 + 0.14, label, 9, colour, ha='left', weight='bold')
    arrow(ax, [(CARD[1], y), (NORM[0], y)], colour, f'(B, 50, {features})', at=GAPS[0])
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
    ax.add_patch(Circle((PLUS, y), RADIUS, fc='white', ec=PURPLE, lw=1.6, zorder=3))
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
    fig = Figure(figsize=(WIDTH, HEIGHT), facecolor='white')
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.axis('off')
    for heading, (left, right) in PANELS.items():
        frame(ax, left, 0.50, right - left, 5.02, 'none', PANEL, 0.1, zorder=1)
        write(ax, (left + right) / 2, 5.70, heading, 11, weight='bold', va='baseline')
    for modality in COLOURS:
        draw_encoder(ax, modality)
    draw_fusion(ax)
    draw_head(ax)
    draw_key(ax)
    return fig


if __name__ == '__main__':
    target = Path(__file__).with_name('GeneralFramework.jpg')
    draw().savefig(target, dpi=DPI, pil_kwargs={'quality': 90, 'subsampling': 0})
