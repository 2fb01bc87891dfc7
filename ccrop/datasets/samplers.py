"""The order of images, and which of them a rank sees."""

from collections.abc import Iterator
from itertools import count, islice

import numpy as np
import torch
from mmengine.dataset import DefaultSampler
from mmengine.dist import get_dist_info
from numpy.typing import NDArray
from torch.utils.data import Sampler

PART = 4096  # samples that are a list at once


class SeededSampler(DefaultSampler):
    """MMEngine's sampler, giving (seed, epoch, index), from which a data set draws all random numbers of a sample.

    The order is MMEngine's, of which a rank keeps its share in a tensor, and not all samples in lists.
    """

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        number = len(self.dataset)
        if self.shuffle:
            order = torch.randperm(number, generator=torch.Generator().manual_seed(self.seed + self.epoch))
        else:
            order = torch.arange(number)
        order = order[torch.from_numpy(np.arange(self.rank, self.total_size, self.world_size) % number)]
        for part in order.split(PART):
            for index in part.tolist():
                yield self.seed, self.epoch, index


class InfiniteSeededSampler(SeededSampler):
    """Epoch after epoch without an end, for training by iterations: batches reach across epochs of few samples."""

    position = 0

    def skip(self, num_samples: int) -> None:
        """Start after this many samples of this rank, as MMEngine's loop does when it resumes."""
        self.position = num_samples

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        first, position = divmod(self.position, self.num_samples)
        for epoch in count(first):
            self.set_epoch(epoch)
            yield from islice(super().__iter__(), position if epoch == first else 0, None)


class ShardedBatches(Sampler):
    """Whole batches in order, every ``world_size``-th to a rank.

    A batch holds the same images whatever the number of ranks, so results per batch are equal bit for bit.

    Args:
        num_samples: of the data set.
        batch_size: samples per batch; the last one may be smaller.
    """

    def __init__(self, num_samples: int, batch_size: int) -> None:
        rank, world_size = get_dist_info()
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.starts = range(rank * batch_size, num_samples, world_size * batch_size)

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[list[int]]:
        for start in self.starts:
            yield list(range(start, min(start + self.batch_size, self.num_samples)))

    def holds(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which samples ``(N,)`` this rank has."""
        return indices // self.batch_size % self.world_size == self.rank
