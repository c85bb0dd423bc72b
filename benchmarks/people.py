"""How well people agree on all rated sentences of the stand-in `reviews`, and a label's own noise.

`python -m benchmarks.people` prints the table in `docs/results.md`. It needs the archive that
`python -m msa_lab.data.reviews` fetches, and no training.
"""

import numpy as np

import msa_utils
from msa_lab.data import METRICS
from msa_lab.data.ratings import human_rows
from msa_lab.data.reviews import ARCHIVE, read_source
from msa_lab.data.reviews.build import draw_ratings


def markdown_people(people):
    """The human rows that `human_rows` returns as a Markdown table, with their intervals."""
    lines = ['| | ' + ' | '.join(METRICS) + ' |', '|' + ' --- |' * (len(METRICS) + 1)]
    for name, row in people.iterrows():
        cells = [
            f'{row[metric, "mean"]:.3f} [{row[metric, "low"]:.3f}, {row[metric, "high"]:.3f}]'
            for metric in METRICS
        ]
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main():
    """Print the human rows over all sentences, each score with its 95% interval, in Markdown."""
    snippets = read_source(ARCHIVE).snippets
    ratings = draw_ratings(snippets, np.random.default_rng(0))
    people = human_rows(ratings, msa_utils.eval_mosi_regression)
    print(f'{len(ratings):,} sentences\n\n{markdown_people(people)}')


if __name__ == '__main__':
    main()
