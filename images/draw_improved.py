"""Draw the improved model of question 3, in the style of `draw_framework`.

Run `python -m images.draw_improved` (`make figures`); it writes images/ImprovedFramework.jpg.
"""

from matplotlib.figure import Figure

from images.canvas import (
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
    tint,
    write,
)
from msa_lab.report.figures import COLOURS

PANELS = {  # heading: left and right edge
    'Input features': (0.10, 2.68),
    'Encoders': (3.38, 7.62),
    'Gated shift': (8.30, 9.76),
    'Attention pooling': (10.36, 11.52),
    'Head': (11.88, 13.10),
}
FIRST, SECOND, THIRD = (3.48, 4.62), (4.92, 5.86), (6.26, 7.52)
GATE, PLUS, NORM = 8.72, 8.72, (9.06, 9.68)
POOL, HEAD = (10.44, 11.44), (11.96, 13.02)
WORDS = {'the': 0.05, 'movie': 0.12, 'was': 0.05, 'not': 0.3, 'bad': 0.48}  # attention of each


def draw_summary(ax, modality):
    """Draw vision or audio: standardised, projected, averaged over the frames that are there."""
    colour, y = COLOURS[modality], ROWS[modality]
    box(ax, FIRST, y, 'standardise\neach feature,\nclip at 3 sd', colour)
    box(ax, SECOND, y, 'Linear\n+ ReLU', colour)
    box(ax, THIRD, y, 'mean over\nframes that\nare there', colour)
    write(ax, sum(SECOND) / 2, y - 0.56, f'{modality}_summary', 8, GREY, family='monospace')
    for a, b in ((FIRST, SECOND), (SECOND, THIRD)):
        arrow(ax, [(a[1], y), (b[0], y)], colour)


def draw_words(ax):
    """Draw the text: normalised, some words hidden, read in both directions."""
    colour, y = COLOURS['text'], ROWS['text']
    box(ax, FIRST, y, 'LayerNorm,\nword dropout', colour)
    box(ax, (5.22, THIRD[1]), y, 'BiLSTM over the true\nsteps (packed)', colour, 'text_lstm')
    arrow(ax, [(FIRST[1], y), (5.22, y)], colour)


def draw_shift(ax):
    """Draw the gates of vision and audio, the sum with the words, and its LayerNorm."""
    y, text = ROWS['text'], COLOURS['text']
    arrow(ax, [(THIRD[1], y), (PLUS - RADIUS, y)], text, '(B, 50, 256)', at=7.95)
    for modality in ('vision', 'audio'):
        colour, level = COLOURS[modality], ROWS[modality]
        sign = 1 if level > y else -1
        gate = y + sign * 0.82
        points = [(THIRD[1], level), (GATE, level), (GATE, gate + sign * RADIUS)]
        arrow(ax, points, colour, '(B, 32)', at=7.95)
        node(ax, GATE, gate, colour)
        write(ax, GATE, gate, '×', 13, colour)
        write(ax, GATE + 0.28, gate, 'gate', 9, ha='left')
        arrow(ax, [(GATE, gate - sign * RADIUS), (GATE, y + sign * RADIUS)], colour)
    node(ax, PLUS, y, PURPLE)
    write(ax, PLUS, y, '+', 14, PURPLE)
    box(ax, NORM, y, 'Layer\nNorm', PURPLE)
    arrow(ax, [(PLUS + RADIUS, y), (NORM[0], y)], PURPLE, head=7)
    note = 'each gate sees the\nword and the summary'
    write(ax, sum(PANELS['Gated shift']) / 2, 0.66, note, colour=GREY)


def draw_pooling(ax):
    """Draw the attention: five words, a bar for the weight of each, their weighted mean."""
    y, left, right = ROWS['text'], *POOL
    arrow(ax, [(NORM[1], y), (left, y)], PURPLE, '(B, 50,\n256)', at=(NORM[1] + left) / 2)
    frame(ax, left, y - 0.62, right - left, 1.24, PURPLE, tint(PURPLE, 0.13))
    for i, (word, weight) in enumerate(WORDS.items()):
        level = y + 0.44 - 0.22 * i
        write(ax, left + 0.44, level, word, 8, ha='right')
        frame(ax, left + 0.49, level - 0.06, weight, 0.12, 'none', PURPLE, 0.01, zorder=4)
    write(ax, (left + right) / 2, y - 0.76, 'pooling', 8, GREY, family='monospace')
    write(ax, (left + right) / 2, 0.66, 'weights sum to 1,\nnone on padding', colour=GREY)


def draw_head(ax):
    """Draw the head from top to bottom, ending in the score."""
    x, y = sum(HEAD) / 2, ROWS['text']
    top, bottom = ROWS['vision'], ROWS['audio']
    points = [(POOL[1], y), (11.70, y), (11.70, top), (HEAD[0], top)]
    arrow(ax, points, PURPLE)
    write(ax, 11.66, y - 0.13, '(B, 256)', ha='center', va='top')
    box(ax, HEAD, top, 'Dropout, Linear\n256 → 64, ReLU', GREY, 'fc', name_dx=-0.2)
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
    for modality in ('vision', 'audio'):
        draw_summary(ax, modality)
    draw_words(ax)
    draw_shift(ax)
    draw_pooling(ax)
    draw_head(ax)
    note = (
        'While training, a whole modality (vision, audio) or a word may be hidden: '
        'modality dropout, word dropout.'
    )
    write(ax, PANELS['Input features'][0], 0.14, note, colour=GREY, ha='left', va='baseline')
    return fig


if __name__ == '__main__':
    save(draw(), 'ImprovedFramework.jpg')
