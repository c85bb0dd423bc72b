"""A report on a data file: what is in it, and how the lab reads it.

`python -m msa_lab.data.inspection [FILE ...]` prints the report.
"""

import argparse
import os
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from msa_lab.data.errors import DataError, DataWarning, describe_type
from msa_lab.data.format import DEFAULT_PATH, MODALITIES, STEPS
from msa_lab.data.mosi_file import load_file, open_pickle
from msa_lab.data.split import Split, measure_alignment

ORIGINS = {
    'reviews': 'the STAND-IN reviews, not CMU-MOSI: real sentences and ratings, '
    'simulated voice, face and speakers',
    'synthetic': 'the STAND-IN synthetic, not CMU-MOSI: everything is generated',
    '': 'none of the stand-ins',
}
FILE_HELP = f'a pickle of CMU-MOSI; default: $MSA_DATA, else {DEFAULT_PATH}'


def inspect(path: str | Path) -> tuple[str, bool]:
    """A report on a file, several lines, and whether the lab can use the file.

    The report first lists what the file holds, as it was found; then it says how the lab reads
    it, or why the lab cannot use it.
    """
    path = Path(path)
    if path.is_dir():
        return f'error: {path} is a folder: name a file in it', False
    if not path.is_file():
        return f'error: no file {path}', False
    lines = [f'{path}: {path.stat().st_size / 1e6:,.1f} MB']
    try:
        with open_pickle(path) as content:
            lines += ['', *_list_contents(content)]
        return '\n'.join([*lines, '', describe(path)]), True
    except DataError as error:
        return '\n'.join([*lines, '', f'The lab cannot use this file: {error}']), False


def _list_contents(content):
    """What a pickle holds, a line per field: names, types and shapes as they are in the file."""
    if not isinstance(content, dict):
        return [f'holds {describe_type(content)}']
    lines = []
    for split, fields in list(content.items())[:10]:
        if not isinstance(fields, dict):
            lines.append(f'{split!r}: {describe_type(fields)}')
            continue
        lines.append(f'{split!r}:')
        for name, value in list(fields.items())[:30]:
            size = f' of {len(value)}' if isinstance(value, (list, tuple, dict)) else ''
            lines.append(f'    {name!r:20} {describe_type(value)}{size}')
    return lines


def describe(path: str | Path) -> str:
    """How the lab reads a file, several lines: origin, packing, sizes, labels and warnings.

    Errors are those of `load_split`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DataWarning)  # they stand at the end of the report
        file = load_file(path)
    train = file.splits['train']
    origin = ORIGINS[train.standin]
    widths = ', '.join(f'{name} {getattr(train, name).shape[2]}' for name in MODALITIES)
    change = 'as the lab has it' if file.padding_side == 'front' else 'moved to the front'
    return '\n'.join(
        [
            f'{path}: {origin}',
            f'packing: {file.packing}; features per step: {widths}',
            f'padding: at the {file.padding_side}, {change}',
            _describe_alignment(file.splits.values()),
            *(_describe_split(name, split) for name, split in file.splits.items()),
            '',
            *_label_histogram(file.splits),
            *(f'warning: {line}' for line in file.warnings),
        ]
    )


def _describe_alignment(splits):
    """How well the steps of the modalities belong together, in one line."""
    aligned = measure_alignment(splits)
    return (
        f'alignment: the audio begins at the first step of the text in {aligned["audio"]:.0%} of '
        f'the utterances, the vision in {aligned["vision"]:.0%}; {aligned["full"]} fill all '
        f'{STEPS} steps and may have been cut, each modality at another end'
    )


def _describe_split(name: str, split: Split) -> str:
    """Sizes, lengths, labels and repaired cells of a split, in one line."""
    repaired = ', '.join(f'{modality} {n}' for modality, n in split.repaired.items() if n)
    return (
        f'{name:>5}: {len(split):4} utterances of {len(set(split.videos))} videos, '
        f'mean length {split.lengths.mean():.1f} of {STEPS}, '
        f'labels {split.labels.mean():+.2f} +- {split.labels.std():.2f}, '
        f'bad points set to 0: {repaired or "none"}'
    )


def _label_histogram(splits):
    """How many utterances have which rounded label: a line of labels, then a line per split."""
    lines = ['label ' + ''.join(f'{label:+6d}' for label in range(-3, 4))]
    for name, split in splits.items():
        counts = Counter(np.round(split.labels).astype(int).tolist())
        lines.append(f'{name:>5} ' + ''.join(f'{counts[label]:6d}' for label in range(-3, 4)))
    return lines


def inspect_command(args: list[str], program: str) -> int:
    """Print a report on each file; returns the exit status, 1 when one of them cannot be used."""
    parser = argparse.ArgumentParser(
        prog=program, description='Say what data files are and how the lab reads them.'
    )
    parser.add_argument('files', nargs='*', metavar='FILE', help=FILE_HELP)
    files = parser.parse_args(args).files or [default_file()]
    reports = [inspect(file) for file in files]
    print('\n\n'.join(report for report, _ in reports))
    return 0 if all(usable for _, usable in reports) else 1


def default_file() -> str:
    """The data file where none is named."""
    return os.environ.get('MSA_DATA') or DEFAULT_PATH


if __name__ == '__main__':
    sys.exit(inspect_command(sys.argv[1:], 'python -m msa_lab.data.inspection'))
