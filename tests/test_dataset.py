"""`MOSIDataset` and its loaders, as the contract has them."""

import numpy as np
import pytest
import torch

from msa_utils import MOSIDataset, make_loader


@pytest.mark.parametrize(('split', 'count'), [('train', 97), ('valid', 33), ('test', 40)])
def test_length_and_attributes(small_file, split, count):
    dataset = MOSIDataset(small_file, split)
    assert len(dataset) == len(dataset.ids) == count
    for name, shape in {
        'vision': (count, 50, 35),
        'text': (count, 50, 300),
        'audio': (count, 50, 74),
        'labels': (count,),
    }.items():
        array = getattr(dataset, name)
        assert isinstance(array, np.ndarray)
        assert array.shape == shape
        assert array.dtype == np.float32


def test_the_default_split_is_train(small_file):
    assert len(MOSIDataset(small_file)) == 97


def test_an_item_is_three_matrices_and_a_scalar(small_file):
    dataset = MOSIDataset(small_file, 'valid')
    item = dataset[3]
    assert [tuple(tensor.shape) for tensor in item] == [(50, 35), (50, 300), (50, 74), ()]
    assert all(tensor.dtype == torch.float32 for tensor in item)
    assert torch.equal(item[1], torch.from_numpy(dataset.text[3].copy()))
    assert -3 <= item[3].item() <= 3


def test_infinite_audio_becomes_zero(small_file):
    dataset = MOSIDataset(small_file, 'train')
    assert np.isfinite(dataset.audio).all()
    assert dataset.repaired['audio'] > 0


def test_changing_an_item_leaves_the_data_set_alone(small_file):
    dataset = MOSIDataset(small_file)
    before = dataset.text[0].copy()
    dataset[0][1].fill_(7)
    np.testing.assert_array_equal(dataset.text[0], before)


def test_iterating_ends(small_file):
    assert sum(1 for _ in MOSIDataset(small_file, 'valid')) == 33


def test_only_training_is_shuffled(small_file):
    for split, shuffled in (('train', True), ('valid', False), ('test', False)):
        labels = torch.cat([batch[3] for batch in make_loader(small_file, split)]).numpy()
        in_order = np.array_equal(labels, MOSIDataset(small_file, split).labels)
        assert in_order is not shuffled


def test_the_last_batch_may_hold_one_utterance(small_file):
    sizes = [len(batch[3]) for batch in make_loader(small_file, 'train')]
    assert sizes == [16] * 6 + [1]
