"""Sweeps on disk, and what is known of each: the base of all LiDAR data sets."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from ccrop.datasets import LocatedDataset, MissingData, UnreadableFile
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.datasets.objects import MissingLabels, Objects, read_taught
from ccrop.projects.lidar_bev.datasets.reading import UnreadableSweep, finite, read_text

OTHER = -1
ANY = "object"  # as the only class: everything that is labeled


class Trajectories(NamedTuple):
    """Where and when the ``N`` sweeps of a data set were taken.

    Attributes:
        drives: ``N`` names, the drive of each sweep.
        seconds: ``(N,)`` within the drive.
        poses: ``(N, 4, 4)`` from the LiDAR frame of each sweep to a frame that is fixed during the drive.
    """

    drives: list[str]
    seconds: NDArray[np.float64]
    poses: NDArray[np.float64]


class SweepDataset(LocatedDataset):
    """Reads a sweep, adds what is known of it, and hands it to the pipeline.

    A sample is ``dict(points, index, rng)``: ``points (N, C)`` float32 with x, y, z in meters in the LiDAR frame first,
    the sweep's number, and its own random generator. Labeled sweeps add ``boxes (M, 7)`` float32 (see
    :mod:`ccrop.projects.lidar_bev.boxes`), ``labels (M,)`` int64, which are positions in ``classes`` or ``OTHER`` for
    objects of any other class, ``num_points (M,)`` int64, the number of points in each box (boxes without points are
    kept), and ``velocities (M, 2)`` if they are known.
    Once a hook has localized objects, ``clusters (K, 5)`` are their boxes, see :class:`ccrop.datasets.BoxStore`.
    Points with a non-finite value are dropped and counted in :attr:`not_finite`; a sweep without remaining
    points is unreadable.

    Subclasses implement :meth:`load_data_list`, :meth:`read` and, if there are labels, :meth:`objects`.

    Args:
        data_root, pipeline, subset: see :class:`ccrop.datasets.LocatedDataset`.
        indices: use only these sweeps of the list, in this order; after ``subset``.
        labeled: also read labels.
        classes: names whose positions are the labels.
        taught: a file of :func:`.write_taught`: the sweeps that it lists have its boxes in place of their own labels,
            which are not read.
    """

    unit = "sweep"

    def __init__(
        self,
        data_root: str | Path,
        pipeline: Sequence[dict[str, Any] | Callable] = (),
        subset: int | None = None,
        indices: Sequence[int] | None = None,
        labeled: bool = False,
        classes: Sequence[str] = (),
        taught: str | Path | None = None,
    ) -> None:
        self.chosen = indices
        self.labeled = labeled
        self.taught: Mapping[str, Objects] = {} if taught is None else read_taught(taught)
        self.classes = tuple(classes)
        super().__init__(data_root, pipeline, subset)
        self.not_finite = torch.zeros(len(self), dtype=torch.long).share_memory_()

    def filter_data(self) -> list[dict[str, Any]]:
        if not self.data_list:
            raise MissingData(f"no sweep found; expected layout:\n{self.layout.format(root=self.data_root)}")
        found = super().filter_data()
        return found if self.chosen is None else [found[i] for i in self.chosen]

    def known(self, index: int) -> dict[str, Any]:
        info = self.get_data_info(index)
        sample = self.read(info)
        points = finite(sample["points"])
        self.not_finite[index] = len(sample["points"]) - len(points)
        if not len(points):
            raise UnreadableSweep(self.path(info), "none of its points is finite and in view")
        sample["points"] = points
        if self.labeled:
            names, boxes, velocities = self.taught.get(info["path"]) or self.objects(info)
            sample |= dict(boxes=boxes, labels=class_labels(names, self.classes))
            sample["num_points"] = num_points_in_boxes(points, boxes)
            if velocities is not None:
                sample["velocities"] = velocities
        if self.boxes is not None:
            sample["clusters"] = self.boxes[index]
        return sample

    def readable(self, chosen: Collection[int] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Index and :meth:`known` of every readable sweep; the log lists and counts the others.

        Args:
            chosen: their indices; None for all.

        Raises:
            UnreadableSweep: none is readable; says why for the first one.
        """
        logger = MMLogger.get_current_instance()
        left_out: list[UnreadableFile] = []
        indices = range(len(self)) if chosen is None else sorted(chosen)
        for index in indices:
            try:
                sample = self.known(index)
            except UnreadableFile as error:
                left_out.append(error)
                logger.warning(f"left out: {error}")
            else:
                yield index, sample
        if left_out and len(left_out) == len(indices):
            raise UnreadableSweep(
                self.data_root, f"none of {len(indices)} sweeps is readable; the first: {left_out[0]}"
            ) from left_out[0]
        if left_out:
            logger.warning(f"{self.data_root}: {len(left_out)} of {len(indices)} sweeps were left out")

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        """``points`` of an entry of the list.

        Raises:
            UnreadableSweep: names the file and what is wrong with it.
        """
        raise NotImplementedError

    def objects(self, info: dict[str, Any]) -> Objects:
        """The labeled objects of an entry of the list; its points are not read.

        Raises:
            MissingLabels: there are none, in layouts with a label file for each sweep.
            ValueError: a label file is damaged or, in other layouts, missing; names it.
        """
        raise NotImplementedError

    def object_names(self, index: int) -> list[str]:
        """Classes of the labeled objects of a sweep, see :meth:`objects`."""
        return self.objects(self.get_data_info(index)).names

    def annotated(self) -> list[int]:
        """Indices of the sweeps that have labels, which may list no object; see :meth:`objects`."""
        found = []
        for index in range(len(self)):
            try:
                self.object_names(index)
            except MissingLabels:
                continue
            found.append(index)
        return found

    def learned_names(self, index: int) -> list[str]:
        """Classes of the objects that a detector learns of a sweep: a teacher's, or those of its labels."""
        taught = self.taught.get(self.get_data_info(index)["path"])
        return self.object_names(index) if taught is None else taught.names

    def with_own_labels(self) -> list[int]:
        """Indices of the sweeps that are not :attr:`taught`; of one that is listed several times, the first."""
        if not self.taught:
            return list(range(len(self)))
        first: dict[str, int] = {}
        for index, path in enumerate(self.paths()):
            first.setdefault(path, index)
        return [index for path, index in first.items() if path not in self.taught]

    def paths(self) -> list[str]:
        """The file of each sweep, relative to the data root; of several sweeps in one, the key frame's."""
        return [self.get_data_info(index)["path"] for index in range(len(self))]

    def scenes(self) -> list[str]:
        """The drive of each sweep; if unknown, each is its own."""
        infos = [self.get_data_info(index) for index in range(len(self))]
        return [info.get("drive", info["path"]) for info in infos]

    def trajectories(self) -> Trajectories:
        """Where and when each sweep was taken.

        Raises:
            ValueError: it is not known, or a sample is more than one sweep.
        """
        raise ValueError(
            f"{self.data_root}: {type(self).__name__} has no ego poses, which motion scores need: leave out "
            "pseudo_boxes.min_motion, or use sequences with poses (NuScenesSweeps)"
        )


def names_in_split(root: Path, split: str | None, found: Collection[str], where: Path, layout: str) -> list[str]:
    """Names of the sweeps of a split: the lines of ``ImageSets/SPLIT.txt``, in their order; of all, sorted, for None.

    Args:
        found: names of the existing sweeps.
        where: their folder, for messages.
        layout: see :class:`SweepDataset`.

    Raises:
        MissingData: there is no such file, or it lists sweeps that do not exist.
    """
    if split is None:
        return sorted(found)
    file = root / "ImageSets" / f"{split}.txt"
    if not file.is_file():
        raise MissingData(
            f"{file} is not a file (split=None takes all sweeps); expected layout:\n{layout.format(root=root)}"
        )
    names = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    missing = [name for name in names if name not in found]
    if missing:
        raise MissingData(
            f"{where} lacks {len(missing)} of the {len(names)} sweeps of split {split!r}, the first is {missing[0]}: "
            "add them, or remove them from the split's file"
        )
    return names


def class_labels(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Labels ``(M,)`` int64: positions of names in ``classes``, ``OTHER`` if absent; all 0 for only ``ANY``."""
    if tuple(classes) == (ANY,):
        return np.zeros(len(names), dtype=np.int64)
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(name, OTHER) for name in names], dtype=np.int64)
