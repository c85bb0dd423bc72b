"""What a data file is, in words: its packing, what is in it, what the lab will do with it."""

import os
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from msa_lab.data.format import DEFAULT_PATH, MODALITIES, STEPS
from msa_lab.data.mosi_file import DataError, DataWarning, kind, load_file, opened


def inspect(path):
    """A report on a file, in lines, and whether the lab can use it: (str, bool).

    First what the file holds, as it was found; then how the lab reads it, or why it does not.
    """
    path = Path(path)
    if not path.is_file():
        return f'error: no file {path}', False
    lines = [f'{path}: {path.stat().st_size / 1e6:,.1f} MB']
    try:
        with opened(path) as content:
            lines += ['', *_contents(content)]
        return '\n'.join([*lines, '', describe(path)]), True
    except DataError as error:
        return '\n'.join([*lines, '', f'The lab cannot use this file: {error}']), False


def _contents(content):
    """What a pickle holds, a line per field: names, types and shapes as they are in the file."""
    if not isinstance(content, dict):
        return [f'holds {kind(content)}']
    lines = []
    for split, fields in list(content.items())[:10]:
        if not isinstance(fields, dict):
            lines.append(f'{split!r}: {kind(fields)}')
            continue
        lines.append(f'{split!r}:')
        for name, value in list(fields.items())[:30]:
            size = f' of {len(value)}' if isinstance(value, (list, tuple, dict)) else ''
            lines.append(f'    {name!r:20} {kind(value)}{size}')
    return lines


def describe(path):
    """A few lines that say what data file this is and how the lab reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DataWarning)  # they stand at the end of the report
        file = load_file(path)
    train = file.splits['train']
    origin = 'SYNTHETIC stand-in, not CMU-MOSI' if train.is_standin else 'not the stand-in'
    widths = ', '.join(f'{name} {getattr(train, name).shape[2]}' for name in MODALITIES)
    lines = [f'{path}: {origin}', f'packing: {file.packing}; features per step: {widths}']
    side = 'as the lab has it' if file.padding == 'front' else 'moved to the front'
    lines.append(f'padding: at the {file.padding}, {side}')
    for name, split in file.splits.items():
        repaired = ', '.join(f'{modality} {n}' for modality, n in split.repaired.items() if n)
        lines.append(
            f'{name:>5}: {len(split):4} utterances of {len(set(split.videos))} videos, '
            f'mean length {split.lengths.mean():.1f} of {STEPS}, '
            f'labels {split.labels.mean():+.2f} +- {split.labels.std():.2f}, '
            f'bad points set to 0: {repaired or "none"}'
        )
    lines += ['', *_label_histogram(file.splits)]
    lines += [f'warning: {doubt}' for doubt in file.doubts]
    return '\n'.join(lines)


def _label_histogram(splits):
    """Utterances per rounded label, a line per split."""
    lines = ['label ' + ''.join(f'{label:+6d}' for label in range(-3, 4))]
    for name, split in splits.items():
        counts = Counter(np.round(split.labels).astype(int).tolist())
        lines.append(f'{name:>5} ' + ''.join(f'{counts[label]:6d}' for label in range(-3, 4)))
    return lines


def command_line(args, train):
    """`inspect FILE` prints a report, `[FILE]` calls `train(path)`; what to give `sys.exit`.

    Without a file it is the one named by MSA_DATA, else `./mosi_raw.pkl`.
    """
    if args[:1] == ['inspect']:
        files = args[1:] or [os.environ.get('MSA_DATA') or DEFAULT_PATH]
        reports = [inspect(file) for file in files]
        print('\n\n'.join(report for report, _ in reports))
        return 0 if all(usable for _, usable in reports) else 1
    try:
        train(args[0] if args else os.environ.get('MSA_DATA') or DEFAULT_PATH)
    except (FileNotFoundError, DataError) as error:
        return f'error: {error}'
    return 0


if __name__ == '__main__':
    sys.exit(command_line(['inspect', *sys.argv[1:]], None))
