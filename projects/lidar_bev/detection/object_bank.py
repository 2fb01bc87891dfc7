"""Labeled objects with their points, cut out of a detector's training sweeps, in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.dist import barrier, is_main_process
from numpy.typing import NDArray

from ccrop.datasets.base import spread
from ccrop.files import written
from ccrop.long_work import with_progress
from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.datasets import SweepDataset

POINTS, OBJECTS = "points.bin", "objects.npz"


class ObjectBank(NamedTuple):
    """The objects of a data set's classes.

    Attributes:
        points: ``(N, C)`` float32, mapped from the file, in the frames of the sweeps that they are of.
        starts: ``(M + 1,)`` int64: object ``m`` has the points ``starts[m]`` to ``starts[m + 1] - 1``.
        boxes: ``(M, 7)`` float32.
        labels: ``(M,)`` int64.
        velocities: ``(M, 2)`` float32, NaN if not known.
    """

    points: NDArray[np.float32]
    starts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    velocities: NDArray[np.float32]


def write_bank(dataset: SweepDataset, folder: Path, min_points: int, max_sweeps: int) -> None:
    """Cut out the labeled objects of a data set's sweeps, not those that a teacher found.

    Args:
        dataset: labeled, without a pipeline.
        folder: takes the files.
        min_points: of an object.
        max_sweeps: at most this many, evenly spaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts, boxes, labels, velocities, columns = [], [], [], [], 0
    own_labels = dataset.with_own_labels()
    chosen = {own_labels[place] for place in spread(len(own_labels), max_sweeps)}
    with written(folder / POINTS) as partial, partial.open("wb") as file:
        for _, sample in with_progress(dataset.readable(chosen), "objects", len(chosen)):
            kept = np.flatnonzero((sample["labels"] >= 0) & (sample["num_points"] >= min_points))
            own = sample["boxes"][kept]
            points, box = points_in_boxes(sample["points"], own)
            order = np.argsort(box, kind="stable")
            sample["points"][points[order]].tofile(file)
            columns = sample["points"].shape[1]
            counts.append(np.bincount(box, minlength=len(own)))
            boxes.append(own)
            labels.append(sample["labels"][kept])
            unknown = np.full((len(sample["boxes"]), 2), np.nan, dtype=np.float32)
            velocities.append(sample.get("velocities", unknown)[kept])
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    with written(folder / OBJECTS) as partial:
        np.savez(
            partial,
            starts=starts,
            boxes=np.concatenate(boxes),
            labels=np.concatenate(labels),
            velocities=np.concatenate(velocities),
            columns=columns,
        )


def read_bank(folder: Path) -> ObjectBank:
    """The objects that :func:`write_bank` wrote."""
    with np.load(folder / OBJECTS) as content:
        known = {name: content[name] for name in content.files}
    shape = (int(known["starts"][-1]), int(known.pop("columns")))
    points = np.memmap(folder / POINTS, np.float32, "r", shape=shape) if shape[0] else np.zeros(shape, np.float32)
    return ObjectBank(points, **known)


def bank_of(dataset: SweepDataset, folder: Path, min_points: int, max_sweeps: int) -> ObjectBank:
    """Write a bank in the main process, and read it in all."""
    if is_main_process():
        write_bank(dataset, folder, min_points, max_sweeps)
    barrier()
    return read_bank(folder)


def counts_of(bank: ObjectBank, classes: Sequence[str]) -> str:
    """How many objects of each class a bank has, in words."""
    return ", ".join(f"{(bank.labels == label).sum():,} {name}" for label, name in enumerate(classes))
