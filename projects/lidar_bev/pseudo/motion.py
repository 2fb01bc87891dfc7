"""What moves in a sweep, by other sweeps of the same drive: a cue for road users that needs no labels.

MODEST (You et al., Learning to detect mobile objects from LiDAR scans without labels, CVPR 2022) asks whether a place
is also occupied in other traversals of the same road. Here, one traversal with poses is enough: a point has moved if a
sweep before or after saw through its place. As in mapless detection of moving objects (Yoon et al., CRV 2019), a place
that is occluded in another sweep, or that none of its beams reaches, says nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.pseudo.fitting import CLEARANCE

AZIMUTH, ELEVATION = np.radians(0.5), np.radians(1.0)  # within which a return is on a point's line of sight
DEPTH = 0.5  # meters along it: nearer returns are of the same surface
RETURNS = 16  # on a line of sight at most, the nearest


class OtherSweep(NamedTuple):
    """Another sweep of the same drive, in the frame of the sweep in question.

    Attributes:
        points: ``(N, 3 or more)`` in meters.
        origin: ``(3,)`` where its sensor stood.
    """

    points: NDArray[np.floating]
    origin: NDArray[np.floating]


def motion_scores(points: NDArray, others: Sequence[OtherSweep]) -> NDArray[np.float64]:
    """Motion score of each point: of the other sweeps that could see its place, the fraction that saw through it.

    On the line of sight from another sensor to the point lie the returns that are less than ``AZIMUTH`` and
    ``ELEVATION`` off. If any is at the point's distance, the point is still there. Otherwise the nearest to the line
    decides: beyond the point, the place is free; before it, the place is occluded, and the sweep does not count.

    Args:
        points: ``(P, 3 or more)`` in meters.
        others: sweeps before and after.

    Returns:
        ``(P,)`` in [0, 1], NaN where no other sweep could see the place.
    """
    moved, stayed = np.zeros(len(points)), np.zeros(len(points))
    for other in others:
        free, taken = _seen(points[:, :3], other)
        moved += free
        stayed += taken
    looks = moved + stayed
    return np.where(looks > 0, moved / looks.clip(min=1), np.nan)


def box_motion(boxes: NDArray, points: NDArray, others: Sequence[OtherSweep]) -> NDArray[np.float64]:
    """Mean motion score ``(M,)`` of the points in each of the boxes ``(M, 7)``; 0 where it is not known.

    Points lower than ``CLEARANCE`` above the bottom do not count: they may be ground.
    """
    point, box = points_in_boxes(points, boxes)
    above = points[point, 2] - (boxes[box, 2] - boxes[box, 5] / 2)
    point, box = point[above >= CLEARANCE], box[above >= CLEARANCE]
    scores = motion_scores(points[point], others)
    known = np.isfinite(scores)
    counts = np.bincount(box[known], minlength=len(boxes))
    return np.bincount(box[known], scores[known], minlength=len(boxes)) / counts.clip(min=1)


def _seen(points: NDArray, other: OtherSweep) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which places ``(P,)`` another sweep saw free, and which occupied."""
    if not len(other.points) or not len(points):
        return np.zeros(len(points), dtype=bool), np.zeros(len(points), dtype=bool)
    lines, ranges = _lines_of_sight(other.points[:, :3] - other.origin)
    toward, distances = _lines_of_sight(points - other.origin)
    turn = 2 * np.pi / AZIMUTH
    tree = cKDTree(lines, boxsize=(turn, 0))
    offsets, found = tree.query(toward, k=min(RETURNS, len(lines)), distance_upper_bound=1.0)
    offsets, found = (each.reshape(len(points), -1) for each in (offsets, found))
    on_line = np.isfinite(offsets)
    beyond = np.append(ranges, np.inf)[found] - distances[:, None]
    taken = (on_line & (abs(beyond) < DEPTH)).any(axis=1)
    return on_line[:, 0] & ~taken & (beyond[:, 0] >= DEPTH), taken


def _lines_of_sight(offsets: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Azimuth and elevation ``(N, 2)`` in units of their tolerances, and distances ``(N,)`` in meters."""
    x, y, z = offsets.astype(np.float64).T
    azimuth = np.arctan2(y, x) % (2 * np.pi)
    level = np.hypot(x, y)
    # one step below the full turn, which the tree takes for 0
    azimuth = np.minimum(azimuth, np.nextafter(2 * np.pi, 0)) / AZIMUTH
    return np.column_stack([azimuth, np.arctan2(z, level) / ELEVATION]), np.hypot(level, z)
