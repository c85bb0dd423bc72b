"""Draw the improved model of question 3, in the style of `draw_framework`.

Run `python -m images.draw_improved` (`make figures`); it writes images/ImprovedFramework.jpg.
"""

import numpy as np
from matplotlib.figure import Figure

from images.canvas import (
    BOX_HEIGHT,
    CARD_HEIGHT,
    GREY,
    INK,
    PURPLE,
    ROWS,
    arrow,
    blank_page,
    box,
    frame,
    input_card,
    save,
    tint,
    write,
)
from msa_lab.report.figures import COLOURS

PANELS = {  # heading: left and right edge
    'Input features': (0.10, 2.68),
    'Encoders': (3.60, 8.50),
    'Joined': (9.66, 10.36),
    'Head': (11.54, 13.10),
}
GAPS = 3.14, 8.88, 11.17  # where the shapes stand, in the white strips between the panels
FIRST, SECOND, THIRD = (3.72, 5.08), (5.50, 6.60), (7.02, 8.38)
BOXES = {  # what is done to a step, the layer of each step, and the mean
    'vision': ('standardise\neach feature,\nclip at 3 sd', 'mean over\nthe frames\nwith content'),
    'text': ('LayerNorm,\nword dropout', 'mean over\nthe words'),
    'audio': ('standardise\neach feature,\nclip at 3 sd', 'mean over\nthe frames\nwith content'),
}
NAMES = {  # the module in the code, and the boxes that it is
    'vision': {'vision_summary': (FIRST[0], THIRD[1])},
    'text': {'text_norm': FIRST, 'text_fc': SECOND},
    'audio': {'audio_summary': (FIRST[0], THIRD[1])},
}
SIZES = {'vision': 32, 'text': 256, 'audio': 32}
JOINED, HEAD = (9.76, 10.26), (11.64, 13.00)


def draw_encoder(ax, modality):
    """Draw one row: every step through the same layer, alone, and the mean of the steps."""
    colour, y = COLOURS[modality], ROWS[modality]
    prepared, mean = BOXES[modality]
    box(ax, FIRST, y, prepared, colour)
    box(ax, SECOND, y, 'Linear\n+ ReLU', colour)
    box(ax, THIRD, y, mean, colour)
    for name, span in NAMES[modality].items():
        low = y - BOX_HEIGHT / 2 - np.array([0.06, 0.10, 0.10, 0.06])
        ax.plot(np.repeat(span, 2), low, color=GREY, lw=0.8, zorder=4)
        write(ax, sum(span) / 2, y - 0.63, name, 8, GREY, family='monospace')
    for a, b in ((FIRST, SECOND), (SECOND, THIRD)):
        arrow(ax, [(a[1], y), (b[0], y)], colour)


def draw_joining(ax):
    """Draw the three vectors put end to end; the text has most of the cells."""
    left, right = JOINED
    middle, height, turn = ROWS['text'], 1.9, 9.40
    top, share = middle + height / 2, {'vision': 0.2, 'text': 0.6, 'audio': 0.2}
    for modality in ('vision', 'text', 'audio'):
        colour, size, level = COLOURS[modality], share[modality] * height, ROWS[modality]
        y = top - size / 2
        frame(ax, left, top - size, right - left, size, colour, tint(colour, 0.3))
        write(ax, (left + right) / 2, y, str(SIZES[modality]), 9)
        bend = [] if modality == 'text' else [(turn, level), (turn, y)]
        shape = f'(B, {SIZES[modality]})'
        arrow(ax, [(THIRD[1], level), *bend, (left, y)], colour, shape, at=GAPS[1])
        top -= size


def draw_head(ax):
    """Draw the head from top to bottom, ending in the score."""
    x, y = sum(HEAD) / 2, ROWS['text']
    top, bottom, turn = ROWS['vision'], ROWS['audio'], 10.72
    arrow(ax, [(JOINED[1], y), (turn, y), (turn, top), (HEAD[0], top)], PURPLE)
    write(ax, GAPS[2], top + 0.06, '(B, 320)', va='bottom')
    box(ax, HEAD, top, 'Dropout, Linear\n320 → 64, ReLU', GREY, 'fc', name_dx=-0.2)
    box(ax, HEAD, y, 'Dropout, Linear\n64 → 1, 3·tanh', GREY)
    frame(ax, HEAD[0], bottom - CARD_HEIGHT / 2, HEAD[1] - HEAD[0], CARD_HEIGHT, GREY, 'white')
    write(ax, x, bottom + 0.1, 'score', 9, weight='bold')
    write(ax, x, bottom - 0.14, 'in (−3, 3)', 8, INK)
    half, card = BOX_HEIGHT / 2, CARD_HEIGHT / 2
    for start, end, shape in (
        (top - half, y + half, '(B, 64)'),
        (y - half, bottom + card, '(B, 1)'),
    ):
        arrow(ax, [(x, start), (x, end)], GREY)
        write(ax, x + 0.1, (start + end) / 2, shape, ha='left')


def draw() -> Figure:
    """Draw the whole figure."""
    fig, ax = blank_page(PANELS, low=0.40, height=5.12)
    for modality in COLOURS:
        input_card(ax, modality, end=FIRST[0], at=GAPS[0])
        draw_encoder(ax, modality)
    draw_joining(ax)
    draw_head(ax)
    left, style = PANELS['Input features'][0], {'colour': GREY, 'va': 'baseline'}
    note = 'While training, dropout hides words, all of vision or audio, and single units.'
    write(ax, left, 0.14, note, ha='left', **style)
    key = 'B: batch size     50: time steps, padded at the front'
    write(ax, PANELS['Head'][1], 0.14, key, ha='right', **style)
    return fig


if __name__ == '__main__':
    save(draw(), 'ImprovedFramework.jpg')
