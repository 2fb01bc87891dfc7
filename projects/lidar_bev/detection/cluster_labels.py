"""Clusters instead of labels: a detector that learns where objects are before it sees a label.

Both encoder and head are pretrained, as LOST (Simeoni et al., BMVC 2021) and CutLER (Wang et al., CVPR 2023) do for
images.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import TASK_UTILS
from mmengine.runner import Runner
from numpy.typing import NDArray

from ccrop.config import read_config
from ccrop.datasets import InfiniteSeededSampler
from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.datasets.base import ANY
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.transfer import stored_clusters

DISTANCE = 1.0  # minimum meters between two detections: people who walk together are one cluster anyway
CEILING = 4.0  # meters above a cluster's lowest point; anything higher belongs to something else
THINNEST = 0.2  # meters, height of a box around points of one height


class ClusterBoxes:
    """Pipeline step: a sweep's clusters as labeled boxes of one class.

    Gives ``boxes (M, 7)``, their headings 0 and their heights those of the points in them, ``labels (M,)``, all 0, and
    ``num_points (M,)``.

    Args:
        grid: of the localization, in whose fractions the clusters are.
        max_boxes: those with the best scores are taken.
    """

    def __init__(self, grid: Grid | dict[str, Any], max_boxes: int) -> None:
        self.grid: Grid = TASK_UTILS.build(grid) if isinstance(grid, dict) else grid
        if max_boxes < 1:
            raise ValueError(f"max_boxes must be at least 1, got {max_boxes}")
        self.max_boxes = max_boxes

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        boxes, num_points = standing(sample["clusters"][: self.max_boxes], sample["points"], self.grid)
        return sample | dict(boxes=boxes, labels=np.zeros(len(boxes), dtype=np.int64), num_points=num_points)


def standing(clusters: NDArray, points: NDArray, grid: Grid) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes ``(M, 7)`` of clusters, and how many points each has, ``(M,)``.

    A box extends from the lowest of the points above its area to the highest within ``CEILING`` meters of that one.

    Args:
        clusters: ``(M, 4 or more)``, x0, y0, x1, y1 in fractions of a grid.
        points: ``(N, 3 or more)`` in meters.
    """
    low, extent = np.array(grid.low[:2]), np.subtract(grid.high[:2], grid.low[:2])
    start, end = (clusters[:, each : each + 2] * extent + low for each in (0, 2))
    number = len(clusters)
    column = np.column_stack(
        [(start + end) / 2, np.zeros(number), end - start, np.full(number, np.inf), np.zeros(number)]
    )
    point, box = points_in_boxes(points, column)
    z = points[point, 2]
    lowest, highest = np.full(number, np.inf), np.full(number, -np.inf)
    np.minimum.at(lowest, box, z)
    own = z <= lowest[box] + CEILING
    np.maximum.at(highest, box[own], z[own])
    num_points = np.bincount(box[own], minlength=number)
    bottom, top = (np.where(num_points > 0, each, 0.0) for each in (lowest, highest))
    column[:, 2] = (bottom + top) / 2
    column[:, 5] = np.maximum(top - bottom, THINNEST)
    return column.astype(np.float32), num_points


class StoredClustersHook(Hook):
    """Gives the training sweeps the clusters that a pretraining run stored.

    Args:
        checkpoint: of a pretraining on the same sweeps; else the run stops, see :func:`ccrop.transfer.stored_clusters`.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def before_run(self, runner: Runner) -> None:
        dataset = runner.train_dataloader.dataset
        example = "projects/lidar_bev/configs/comparison/clusters.py"
        dataset.boxes = stored_clusters(self.checkpoint, dataset, example)


def find_objects(config: Config) -> None:
    """Detect objects of any class as one class, in unlabeled sweeps that are drawn equally often."""
    config.model.update(classes=(ANY,), distances=(DISTANCE,), groups=None)
    config.train_dataloader.sampler = dict(type=InfiniteSeededSampler, shuffle=True)
    config.ground_truth_sampling = None
    if config.test_dataset is not None:
        config.test_dataset.classes = (ANY,)


def use_pseudo_boxes(config: Config, source: str | Path, folder: str | Path, max_boxes: int = 64) -> None:
    """Train on the clusters of a pretraining checkpoint, and test where objects are, whatever their class.

    Args:
        config: see :func:`ccrop.projects.lidar_bev.finetune.load_config`.
        source: the checkpoint of a pretraining on the same sweeps.
        folder: nothing is written to it.
        max_boxes: per sweep; those with the best scores.

    Raises:
        ValueError: the checkpoint holds no config.
    """
    localization = read_config(source).default_hooks.localization
    grid = localization.get("localizer", localization).grid
    find_objects(config)
    train = config.train_dataloader.dataset
    train.labeled = False
    train.pipeline = [dict(type=ClusterBoxes, grid=grid, max_boxes=max_boxes), *train.pipeline]
    config.custom_hooks = [*config.get("custom_hooks", []), dict(type=StoredClustersHook, checkpoint=str(source))]
    config.headline += f", pseudo-boxes of {source} instead of labels"
