"""Batches from tensors that are made once and stay on the device."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate


class DeviceLoader:
    """The batches of a `DataLoader`, the same and in the same order, from tensors on the device.

    `DeviceLoader(loader, device)` reads every item of the loader's data set once and stacks them
    into `columns`: one tensor with N rows for each element of an item. A batch takes its rows out
    of each column. It is therefore not for data sets whose items change from one reading to the
    next.

    The order comes from the loader's own batch sampler, which draws the same random numbers as in
    the loader (those of an epoch when the epoch starts): a seed gives the same training with both.
    """

    def __init__(self, loader: DataLoader, device: torch.device | str):
        dataset = loader.dataset
        items = default_collate([dataset[i] for i in range(len(dataset))])
        self.columns = [column.to(device) for column in items]
        self.batch_size = loader.batch_size
        self.indices = DataLoader(
            range(len(dataset)), batch_sampler=loader.batch_sampler, generator=loader.generator
        )

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.indices)

    def __iter__(self) -> Iterator[list[Tensor]]:
        batches = list(self.indices)
        order = torch.cat(batches).to(self.columns[0].device)  # one transfer for the whole epoch
        for index in order.split([len(batch) for batch in batches]):
            yield [column[index] for column in self.columns]
