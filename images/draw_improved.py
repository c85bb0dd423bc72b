"""Draw the improved model of question 3, in the style of `draw_framework`.

Run `python -m images.draw_improved` (`make figures`); it writes images/ImprovedFramework.jpg.
"""

from matplotlib.figure import Figure

from images.canvas import (
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
    'Encoders': (3.38, 8.56),
    'Joined': (9.66, 10.36),
    'Head': (11.58, 13.10),
}
FIRST, SECOND, THIRD = (3.50, 4.88), (5.36, 6.56), (7.04, 8.44)
BOXES = {  # what is done to a step, the layer of each step, and the mean
    'vision': ('standardise\neach feature,\nclip at 3 sd', 'mean over\nframes that\nare there'),
    'text': ('LayerNorm,\nword dropout', 'mean over\nthe words'),
    'audio': ('standardise\neach feature,\nclip at 3 sd', 'mean over\nframes that\nare there'),
}
NAMES = {'vision': 'vision_summary', 'text': 'text_fc', 'audio': 'audio_summary'}
SIZES = {'vision': 32, 'text': 256, 'audio': 32}
JOINED, HEAD = (9.76, 10.26), (11.68, 13.00)


def draw_encoder(ax, modality):
    """Draw one row: every step through the same layer, alone, and the mean of the steps."""
    colour, y = COLOURS[modality], ROWS[modality]
    prepared, mean = BOXES[modality]
    box(ax, FIRST, y, prepared, colour)
    box(ax, SECOND, y, 'Linear\n+ ReLU', colour)
    box(ax, THIRD, y, mean, colour)
    write(ax, sum(SECOND) / 2, y - 0.56, NAMES[modality], 8, GREY, family='monospace')
    for a, b in ((FIRST, SECOND), (SECOND, THIRD)):
        arrow(ax, [(a[1], y), (b[0], y)], colour)


def draw_joining(ax):
    """Draw the three vectors put end to end; the text has most of the cells."""
    left, right = JOINED
    middle, height, turn = ROWS['text'], 1.9, 9.36
    top, share = middle + height / 2, {'vision': 0.2, 'text': 0.6, 'audio': 0.2}
    for modality in ('vision', 'text', 'audio'):
        colour, size, level = COLOURS[modality], share[modality] * height, ROWS[modality]
        y = top - size / 2
        frame(ax, left, top - size, right - left, size, colour, tint(colour, 0.3))
        write(ax, (left + right) / 2, y, str(SIZES[modality]), 9)
        bend = [] if modality == 'text' else [(turn, level), (turn, y)]
        shape = f'(B, {SIZES[modality]})'
        arrow(ax, [(THIRD[1], level), *bend, (left, y)], colour, shape, at=8.96)
        top -= size


def draw_head(ax):
    """Draw the head from top to bottom, ending in the score."""
    x, y = sum(HEAD) / 2, ROWS['text']
    top, bottom, turn = ROWS['vision'], ROWS['audio'], 10.94
    arrow(ax, [(JOINED[1], y), (turn, y), (turn, top), (HEAD[0], top)], PURPLE)
    write(ax, turn, y - 0.13, '(B, 320)', ha='center', va='top')
    box(ax, HEAD, top, 'Dropout, Linear\n320 → 64, ReLU', GREY, 'fc', name_dx=-0.2)
    box(ax, HEAD, y, 'Dropout, Linear\n64 → 1, 3·tanh', GREY)
    frame(ax, HEAD[0], bottom - CARD_HEIGHT / 2, HEAD[1] - HEAD[0], CARD_HEIGHT, GREY, 'white')
    write(ax, x, bottom + 0.1, 'score', 9, weight='bold')
    write(ax, x, bottom - 0.14, 'in (−3, 3)', 8, INK)
    for start, end in ((top - 0.4, y + 0.4), (y - 0.4, bottom + CARD_HEIGHT / 2)):
        arrow(ax, [(x, start), (x, end)], GREY)
    write(ax, x + 0.1, (y - 0.4 + bottom + CARD_HEIGHT / 2) / 2, '(B, 1)', ha='left')


def draw() -> Figure:
    """Draw the whole figure."""
    fig, ax = blank_page(PANELS, low=0.40, height=5.12)
    for modality in COLOURS:
        input_card(ax, modality, end=FIRST[0], at=3.03)
        draw_encoder(ax, modality)
    draw_joining(ax)
    draw_head(ax)
    note = 'While training, words, whole modalities and single units are hidden: dropout.'
    write(ax, PANELS['Input features'][0], 0.14, note, colour=GREY, ha='left', va='baseline')
    return fig


if __name__ == '__main__':
    save(draw(), 'ImprovedFramework.jpg')
