"""What the drawings of both models share: the page, boxes, arrows, and the cards of the inputs.

One unit of a drawing is one inch on paper, so every length below is also a print size. `ax` are the
axes of `blank_page`; the span of a box is its (left, right) edge.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
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
CARD, CARD_HEIGHT, BOX_HEIGHT, RADIUS = (0.20, 2.58), 0.96, 0.80, 0.19


def blank_page(panels, low, height) -> tuple[Figure, Axes]:
    """A white page with grey panels, {heading: span}, whose lower edge is at y = `low`."""
    fig = Figure(figsize=(WIDTH, HEIGHT), facecolor='white')
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    ax.axis('off')
    for heading, (left, right) in panels.items():
        frame(ax, left, low, right - left, height, 'none', PANEL, 0.1, zorder=1)
        write(ax, (left + right) / 2, 5.70, heading, 11, weight='bold', va='baseline')
    return fig, ax


def save(fig, name):
    """Write a drawing into this folder."""
    target = Path(__file__).with_name(name)
    fig.savefig(target, dpi=DPI, pil_kwargs={'quality': 90, 'subsampling': 0})


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
    """Draw a layer: its box around y, its title moved by dy, and below it its name in the code."""
    left, right = span
    frame(ax, left, y - BOX_HEIGHT / 2, right - left, BOX_HEIGHT, colour, tint(colour, 0.13))
    write(ax, (left + right) / 2, y + dy, text, 9)
    if name:
        x, below = (left + right) / 2 + name_dx, y - BOX_HEIGHT / 2 - 0.14
        write(ax, x, below, name, 8, GREY, family='monospace')


def arrow(ax, points, colour, above='', below='', at=0.0, head=9, width=1.4):
    """Draw an arrow along the points, with labels above and below its level part at x = at."""
    style = {'arrowstyle': '-|>', 'mutation_scale': head, 'lw': width, 'joinstyle': 'miter'}
    ax.add_patch(FancyArrowPatch(path=Route(points), color=colour, zorder=5, **style))
    level = next((a[1] for a, b in pairwise(points) if a[1] == b[1]), 0)
    if above:
        write(ax, at, level + 0.06, above, va='bottom')
    if below:
        write(ax, at, level - 0.07, below, colour=GREY, va='top')


def node(ax, x, y, colour):
    """Draw the circle of an operation on several inputs; its sign is drawn by the caller."""
    ax.add_patch(Circle((x, y), RADIUS, fc='white', ec=colour, lw=1.6, zorder=3))


def input_card(ax, modality, end, at):
    """Draw the card of a modality and an arrow to x = `end`, which has its label at x = `at`."""
    colour, y = COLOURS[modality], ROWS[modality]
    label, features = SOURCES[modality]
    icon = {'vision': icon_vision, 'text': icon_text, 'audio': icon_audio}[modality]
    frame(ax, CARD[0], y - CARD_HEIGHT / 2, CARD[1] - CARD[0], CARD_HEIGHT, colour, 'white')
    icon(ax, (CARD[0] + CARD[1]) / 2, y, colour)
    write(ax, CARD[0], y + CARD_HEIGHT / 2 + 0.14, label, 9, colour, ha='left', weight='bold')
    arrow(ax, [(CARD[1], y), (end, y)], colour, f'(B, 50, {features})', at=at)


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
