"""How good are pseudo-boxes of sweeps? Recall by class and precision, by overlap seen from above."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import num_points_in_boxes
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.evaluation.proposal_recall import MIN_POINTS
from ccrop.projects.lidar_bev.grid import Grid

IOUS = (0.3, 0.5)


def pseudo_box_quality(
    pairs: Iterable[tuple[dict[str, Any], NDArray]], classes: Sequence[str], grid: Grid
) -> dict[str, float]:
    """Recall of objects with ``MIN_POINTS`` points and more whose center is on the grid, and precision of boxes.

    As of images, several boxes of one object all count as right, see :func:`ccrop.evaluation.pseudo_box_quality`. Boxes
    that hold no point of the sweep do not count: labels may be of a part of the view, to which the points are cut.

    Args:
        pairs: labeled samples of :class:`.SweepDataset`, each with its pseudo-boxes ``(M, 7)``.
        classes: names of the samples' labels.

    Returns:
        ``recall_0.3_Car`` ... and ``precision_0.3`` ... in [0, 1]; NaN if there is none.
    """
    labels, recalled, covered = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0)]
    for sample, boxes in pairs:
        objects = sample["boxes"].astype(np.float64)
        boxes = boxes[num_points_in_boxes(sample["points"], boxes) > 0]
        overlap = np.pad(bev_ious(objects, boxes), ((0, 1), (0, 1)))  # nothing overlaps by 0
        counted = sample["num_points"] >= MIN_POINTS
        counted &= ((objects[:, :2] >= grid.low[:2]) & (objects[:, :2] < grid.high[:2])).all(axis=1)
        labels.append(sample["labels"][counted])
        recalled.append(overlap.max(axis=1)[:-1][counted])
        covered.append(overlap.max(axis=0)[:-1])
    label, best, right = np.concatenate(labels), np.concatenate(recalled), np.concatenate(covered)
    quality = {
        f"recall_{iou}_{name}": share(best[label == place] >= iou) for iou in IOUS for place, name in enumerate(classes)
    }
    return quality | {f"precision_{iou}": share(right >= iou) for iou in IOUS}


def share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")
