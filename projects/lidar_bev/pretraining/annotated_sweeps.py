"""Labeled objects in place of clusters: the ceiling of what localization can give."""

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, TASK_UTILS
from mmengine.runner import Runner
from numpy.typing import NDArray

from ccrop.datasets import BoxStore
from ccrop.projects.lidar_bev.boxes import footprints
from ccrop.projects.lidar_bev.grid import Grid


class AnnotatedSweepsHook(Hook):
    """Fills the data set's BoxStore with the bounds of labeled objects from above, once, before training.

    For comparisons only, since it uses labels.

    Args:
        dataset: config of the same sweeps, labeled.
        grid: config of the encoder's grid; objects whose center lies outside do not count.
        min_points: fewest points of an object.
        max_boxes: K; of a sweep with more objects, those with the most points count.
    """

    priority = "NORMAL"

    def __init__(self, dataset: dict[str, Any], grid: dict[str, Any], min_points: int = 5, max_boxes: int = 64) -> None:
        self.dataset = dataset
        self.grid: Grid = TASK_UTILS.build(grid)
        self.min_points = min_points
        self.max_boxes = max_boxes

    def before_run(self, runner: Runner) -> None:
        dataset, labeled = runner.train_dataloader.dataset, DATASETS.build(self.dataset)
        if len(labeled) != len(dataset):
            raise ValueError(
                f"{dataset.data_root}: {len(dataset)} training sweeps but {len(labeled)} labeled ones: use the same "
                "split and subset in both"
            )
        boxes = torch.zeros(len(dataset), self.max_boxes, 5)
        counts = torch.zeros(len(dataset), dtype=torch.long)
        for index, sample in labeled.readable():
            most = np.argsort(-sample["num_points"], kind="stable")
            most = most[sample["num_points"][most] >= self.min_points]
            own = bounds(sample["boxes"][most], self.grid)[: self.max_boxes]
            boxes[index, : len(own), :4] = torch.from_numpy(own)
            boxes[index, : len(own), 4] = 1
            counts[index] = len(own)
        dataset.boxes = BoxStore(len(dataset), self.max_boxes, dataset.fingerprint())
        dataset.update_boxes(boxes, counts)


def bounds(boxes: NDArray, grid: Grid) -> NDArray[np.float32]:
    """Bounds ``(M, 4)`` x0, y0, x1, y1 of boxes ``(M, 7)`` whose center lies in the grid, in its fractions."""
    to_fractions = grid.to_fractions()
    corners = footprints(boxes) @ to_fractions[:, :2].T + to_fractions[:, 2]
    center = boxes[:, :2] @ to_fractions[:, :2].T + to_fractions[:, 2]
    inside = ((center > 0) & (center < 1)).all(axis=1)
    found = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)[inside]
    return found.clip(0, 1).astype(np.float32)
