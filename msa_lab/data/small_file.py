"""A small copy of a data file, for a run that only tries whether everything works."""

import pickle
from pathlib import Path

from msa_lab.data.format import MODALITIES, SPLITS
from msa_lab.data.mosi_file import PADDING_SIDE, file_status, open_pickle, read_file
from msa_lab.data.pickled_arrays import PickledArray
from msa_lab.data.structure import find_field
from msa_lab.files.atomic import atomic_write


def first_utterances(path: str | Path, count: int, folder: str | Path = 'data') -> Path:
    """Write the first `count` utterances of every split to a small file, and return its path.

    `load_split` gives for the small file exactly the first `count` rows that it gives for the file
    at `path`: the features are copied as they lie there, bad points included, and the side of the
    padding is written beside them, because a few utterances may not show it. Ids and sentences
    become strings, whatever the packing. The small file lies in `folder` and is written anew each
    time. No DataWarning is shown here: one that holds for the small file is shown when that is
    loaded. Errors are those of `load_split`; ValueError for a `count` below 1.
    """
    if count < 1:
        raise ValueError(f'count must be at least 1; got {count}')
    path = Path(path)
    file_status(path)
    source = read_file(path)
    content = {PADDING_SIDE: source.padding_side}
    for split, data in source.splits.items():
        content[split] = {'labels': data.labels[:count].copy(), 'id': list(data.ids[:count])}
        if data.raw_text:
            content[split]['raw_text'] = list(data.raw_text[:count])
        if data.ratings is not None:
            content[split]['ratings'] = data.ratings[:count].copy()
    del source, data  # the arrays of the whole file, before they are read once more
    with open_pickle(path) as stored:
        for split in SPLITS:
            fields = find_field(stored, split)
            arrays = {name: find_field(fields, name) for name in (*MODALITIES, 'text_bert')}
            content[split] |= {
                name: array.read()[:count].copy()
                for name, array in arrays.items()
                if isinstance(array, PickledArray) and array.dtype.kind != 'O'
            }
    small = Path(folder) / f'{path.stem}-first-{count}.pkl'
    small.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(small) as file:
        pickle.dump(content, file, protocol=4)
    return small
