"""Do boxes find the labeled objects? Recall by the distance of centers, seen from above."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.evaluation.center_ap import nearest_free

DISTANCES = (1.0, 2.0)  # meters
MIN_POINTS = 20
RANGES = ((0.0, 15.0), (15.0, 30.0), (30.0, 50.0), (50.0, np.inf))  # meters from the sensor


class ProposalRecall(NamedTuple):
    """Which labeled objects of some sweeps have a proposed center near theirs.

    Attributes:
        labels: ``(M,)`` int64.
        distances: ``(M,)`` meters of each object from the sensor.
        found: ``(M, len(DISTANCES))`` bool.
        boxes: per sweep, on average.
        precision: fraction of all boxes less than the last of ``DISTANCES`` away from a labeled object of any size.
    """

    labels: NDArray[np.int64]
    distances: NDArray
    found: NDArray[np.bool_]
    boxes: float
    precision: float

    def recall(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Fraction of the objects, or of those that ``chosen (M,)`` marks, per distance; NaN if there is none."""
        found = self.found if chosen is None else self.found[chosen]
        return found.mean(axis=0) if len(found) else np.full(len(DISTANCES), np.nan)


def proposal_recall(
    centers: Sequence[NDArray],
    boxes: Sequence[NDArray],
    labels: Sequence[NDArray[np.int64]],
    num_points: Sequence[NDArray[np.int64]],
    area: tuple[float, float, float, float],
    min_points: int = MIN_POINTS,
) -> ProposalRecall:
    """Which labeled objects have a proposed center nearer than each of ``DISTANCES``.

    A center finds one object at most: objects take the nearest free one in turn, the nearest to the sensor first.

    Args:
        centers: of each sweep ``(P, 2)`` x, y in meters.
        boxes: of its labeled objects ``(M, 7)``.
        labels: ``(M,)``.
        num_points: ``(M,)``.
        area: x0, y0, x1, y1 in meters; objects whose center is outside do not count.
        min_points: objects with fewer points do not count for the recall.
    """
    if not len(centers) == len(boxes) == len(labels) == len(num_points):
        raise ValueError("centers, boxes, labels and num_points must have one entry per sweep")
    found, kept_labels, kept_distances, near = [], [], [], []
    for own, objects, kinds, points in zip(centers, boxes, labels, num_points, strict=True):
        object_centers = objects[:, :2]
        counted = (
            (points >= min_points) & (object_centers >= area[:2]).all(axis=1) & (object_centers < area[2:]).all(axis=1)
        )
        distance = np.hypot(*object_centers.T)
        order = np.flatnonzero(counted)[np.argsort(distance[counted], kind="stable")]
        found.append(np.stack([nearest_free(object_centers[order], own, limit) >= 0 for limit in DISTANCES], axis=1))
        kept_labels.append(kinds[order])
        kept_distances.append(distance[order])
        if len(object_centers):
            near.append(np.hypot(*np.moveaxis(own[:, None] - object_centers, -1, 0)).min(axis=1) < DISTANCES[-1])
        else:
            near.append(np.zeros(len(own), dtype=bool))
    near = np.concatenate(near)
    return ProposalRecall(
        labels=np.concatenate(kept_labels),
        distances=np.concatenate(kept_distances),
        found=np.concatenate(found),
        boxes=len(near) / len(centers),
        precision=float(near.mean()) if len(near) else float("nan"),
    )
