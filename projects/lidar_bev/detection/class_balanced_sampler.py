"""How often a detector is trained on each sweep."""

from collections.abc import Iterator
from itertools import count

import torch

from ccrop.datasets import InfiniteSeededSampler
from ccrop.projects.lidar_bev.datasets import SweepDataset


class ClassBalancedSampler(InfiniteSeededSampler):
    """Sweeps drawn with replacement, so that equally many are drawn for each class (Zhu et al.,
    Class-balanced grouping and sampling for point cloud 3D object detection, 2019, section 3.2).

    Each class is drawn equally often, and then one of the sweeps that show it. An epoch has as many draws as there are
    pairs of a sweep and a class in it. Draws are counted through all epochs, and a sweep that is drawn again is
    augmented differently: ``(seed, draw, index)``.

    Args:
        dataset: labeled, partly by a teacher or not; sweeps without an object of its classes are not drawn.
        seed: of the draws.
    """

    def __init__(self, dataset: SweepDataset, seed: int | None = None) -> None:
        super().__init__(dataset, seed=seed)
        shown = torch.zeros(len(dataset), len(dataset.classes), dtype=torch.float64)
        places = {name: place for place, name in enumerate(dataset.classes)}
        for index in range(len(dataset)):
            for name in set(dataset.learned_names(index)) & places.keys():
                shown[index, places[name]] = 1
        self.weights = (shown / shown.sum(dim=0).clamp(min=1)).sum(dim=1)
        self.num_samples = -(-int(shown.sum()) // self.world_size)
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        first, position = divmod(self.position, self.num_samples)
        for epoch in count(first):
            generator = torch.Generator().manual_seed(self.seed + epoch)
            drawn = torch.multinomial(self.weights, self.total_size, replacement=True, generator=generator)
            begin = self.rank + self.world_size * (position if epoch == first else 0)
            for place in range(begin, self.total_size, self.world_size):
                yield self.seed, epoch * self.total_size + place, int(drawn[place])
