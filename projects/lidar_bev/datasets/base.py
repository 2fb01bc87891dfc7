"""Sweeps on disk, and what is known of each: the base of all LiDAR data sets."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ccrop.datasets import LocatedDataset, MissingData
from ccrop.datasets.base import build_step, spread
from projects.lidar_bev.boxes import num_points_in_boxes
from projects.lidar_bev.datasets.reading import UnreadableSweep, finite

OTHER = -1
ANY = "object"  # as the one class: all that is labelled


class SweepDataset(LocatedDataset):
    """Reads a sweep, adds what is known of it, and hands it to the pipeline.

    A sample is ``dict(points, index, rng)``: ``points (N, C)`` float32 with x, y, z in metres in the LiDAR frame first,
    the sweep's number, and its own random generator. Labelled sweeps add ``boxes (M, 7)`` float32 (see
    :mod:`projects.lidar_bev.boxes`), ``labels (M,)`` int64, which are positions in ``classes`` or ``OTHER`` for
    objects of any other class, and ``num_points (M,)`` int64, how many points each box holds: none is left out here.
    Where a hook has found boxes in the sweeps, ``clusters (K, 5)`` are those, see :class:`ccrop.datasets.BoxStore`.
    Random numbers depend on (seed, epoch, index) alone. Points with a value that is not finite are left out and
    counted in :attr:`not_finite`. A sweep that cannot be read or has no point left is marked in :attr:`unreadable` and
    the next readable one takes its place.

    Subclasses implement :meth:`load_data_list` and :meth:`read`, and show their :attr:`layout` on disk, with ``{root}``
    for the data root.

    Args:
        data_root: folder of the data.
        pipeline: steps, each a callable from sample to sample or the config of one.
        subset: use only this many sweeps, evenly spaced over the list.
        indices: use only these sweeps of the list, in this order; after ``subset``.
    """

    layout: ClassVar[str]
    unit = "sweep"

    def __init__(
        self,
        data_root: str | Path,
        pipeline: Sequence[dict[str, Any] | Callable] = (),
        subset: int | None = None,
        indices: Sequence[int] | None = None,
    ) -> None:
        if subset is not None and subset < 1:
            raise ValueError(f"subset must be a positive number of sweeps or None for all, got {subset}")
        self.subset = subset
        self.chosen = indices
        super().__init__(data_root=str(data_root), data_prefix={}, pipeline=[build_step(step) for step in pipeline])
        self.unreadable = torch.zeros(len(self), dtype=torch.bool).share_memory_()
        self.not_finite = torch.zeros(len(self), dtype=torch.long).share_memory_()

    def filter_data(self) -> list[dict[str, Any]]:
        if not self.data_list:
            raise MissingData(f"no sweep found; expected layout:\n{self.layout.format(root=self.data_root)}")
        found = self.data_list
        if self.subset is not None:
            found = [found[i] for i in spread(len(found), self.subset)]
        return found if self.chosen is None else [found[i] for i in self.chosen]

    def __getitem__(self, key: int | tuple[int, int, int]) -> Any:
        """The pipeline's result for a sweep.

        Args:
            key: its index, or (seed, epoch, index) as :class:`ccrop.datasets.SeededSampler` gives them.

        Raises:
            IndexError: the index is not in 0 to ``len(self) - 1``.
            UnreadableSweep: not one sweep of the data set is readable.
        """
        seed, epoch, index = (0, 0, key) if isinstance(key, int) else key
        if not 0 <= index < len(self):
            raise IndexError(f"sweep {index} of {len(self)}")
        rng = np.random.default_rng((seed, epoch, index))
        for candidate in range(index, index + len(self)):
            candidate %= len(self)
            if self.unreadable[candidate]:
                continue
            try:
                sample = self.known(candidate)
            except UnreadableSweep:
                self.unreadable[candidate] = True
                continue
            if self.boxes is not None:
                sample["clusters"] = self.boxes[candidate]
            return self.pipeline(sample | dict(index=candidate, rng=rng))
        raise UnreadableSweep(self.data_root, "none of its sweeps is readable")

    def known(self, index: int) -> dict[str, Any]:
        """Sweep ``index`` and what is known of it, before the pipeline, without index and generator.

        Raises:
            UnreadableSweep: names the file and what is wrong with it.
        """
        info = self.get_data_info(index)
        sample = self.read(info)
        points = finite(sample["points"])
        self.not_finite[index] = len(sample["points"]) - len(points)
        if not len(points):
            raise UnreadableSweep(self.path(info), "none of its points is finite, or in view")
        sample["points"] = points
        if "boxes" in sample:
            sample["num_points"] = num_points_in_boxes(points, sample["boxes"])
        return sample

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        """``points`` and, of labelled sweeps, ``boxes`` and ``labels`` of an entry of the list.

        Raises:
            UnreadableSweep: names the file and what is wrong with it.
        """
        raise NotImplementedError

    def scenes(self) -> list[str]:
        """Of which drive each sweep is; where that is not known, each is of its own."""
        return [self.get_data_info(index)["path"] for index in range(len(self))]


def class_labels(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Positions ``(M,)`` int64 of names in ``classes``, ``OTHER`` for those not there; of ``ANY`` 0 for all."""
    if tuple(classes) == (ANY,):
        return np.zeros(len(names), dtype=np.int64)
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(name, OTHER) for name in names], dtype=np.int64)
