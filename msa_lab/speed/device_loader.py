"""Batches from tensors that are made once and stay on the device."""

import torch
from torch.utils.data import DataLoader, default_collate


class DeviceLoader:
    """The batches of a DataLoader, in the same order, without converting an utterance twice.

    All items of its data set are stacked once, on `device`, and a batch is taken out of them by
    index. The order comes from the loader's own sampler by way of a DataLoader over indices, so
    random numbers are drawn as the loader would draw them (all of an epoch at its start), and seeds
    give the same training.
    """

    def __init__(self, loader, device):
        dataset = loader.dataset
        items = default_collate([dataset[i] for i in range(len(dataset))])
        self.columns = [column.to(device) for column in items]
        self.batch_size = loader.batch_size
        self.indices = DataLoader(
            range(len(dataset)), batch_sampler=loader.batch_sampler, generator=loader.generator
        )

    def __len__(self):
        return len(self.indices)

    def __iter__(self):
        batches = list(self.indices)
        order = torch.cat(batches).to(self.columns[0].device)  # once: a GPU need not wait for more
        for index in order.split([len(batch) for batch in batches]):
            yield [column[index] for column in self.columns]
