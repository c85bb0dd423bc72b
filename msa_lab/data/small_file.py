"""A small copy of a data file, for a run that only asks whether everything works."""

import pickle
from pathlib import Path

from msa_lab.data.format import MODALITIES, SPLITS
from msa_lab.data.mosi_file import find, load_split, opened
from msa_lab.files.atomic import atomic_write


def first_utterances(path, count: int, folder='data') -> Path:
    """Write the first `count` utterances of every split to a file of their own; its path.

    The file lies in `folder` and is written anew each time. Features are as they lie in the file
    at `path`, bad points and padding included. Errors as `load_split`.
    """
    path = Path(path)
    small = Path(folder) / f'{path.stem}-first-{count}.pkl'
    splits = {split: load_split(path, split) for split in SPLITS}
    content = {}
    with opened(path) as fields_of:
        for split, data in splits.items():
            fields = find(fields_of, split)
            content[split] = {name: fields[name].read()[:count].copy() for name in MODALITIES}
            content[split]['labels'] = data.labels[:count]
            content[split]['id'] = list(data.ids[:count])
            if data.raw_text:
                content[split]['raw_text'] = list(data.raw_text[:count])
    small.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(small) as file:
        pickle.dump(content, file, protocol=4)
    return small
