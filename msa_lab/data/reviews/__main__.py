"""`python -m msa_lab.data.reviews [--out FILE] [--seed N]`: fetch, build, and say what it is."""

import argparse
import sys

import numpy as np

from msa_lab.data.errors import DataError
from msa_lab.data.inspection import describe
from msa_lab.data.mosi_file import load_file
from msa_lab.data.reviews import ARCHIVE, CITATION, COMMAND, REVIEWS_PATH, fetch, write_reviews


def main() -> int | str:
    """The command line; returns what `sys.exit` takes: 0, or a line that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description='Fetch the sentences (2.5 MB, by pip) unless they are there, build the '
        'stand-in "reviews" and say what it is.',
    )
    parser.add_argument('--out', default=REVIEWS_PATH, metavar='FILE', help=f'({REVIEWS_PATH})')
    parser.add_argument('--seed', type=int, default=0, help='of all that is drawn (0)')
    args = parser.parse_args()
    try:
        fetch()
        source = write_reviews(args.out, seed=args.seed)
    except (DataError, OSError, ValueError) as error:
        return f'error: {error}'
    skipped = ', '.join(f'{reason} ({n})' for reason, n in source.skipped.items()) or 'none'
    splits = load_file(args.out).splits.values()
    labels = np.concatenate([split.labels for split in splits])
    words = sum(len(split.words(i)) for split in splits for i in range(len(split)))
    print(
        f'Source: {CITATION}\n'
        f'{ARCHIVE} has {len(source.snippets):,} rated sentences of movie reviews, and '
        f'{len(source.other_texts):,} sentences more for the word vectors.\n'
        f'Lines skipped: {skipped}.\n'
        f'Made of it: {len(labels):,} sentences of {words:,} words; labels: '
        f'mean {labels.mean():.2f}, sd {labels.std():.2f}, zeros {np.mean(labels == 0):.1%}.\n\n'
        f'{describe(args.out)}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
