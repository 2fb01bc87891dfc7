"""Boxes of objects in LiDAR sweeps: one definition everywhere.

A box is (x, y, z, dx, dy, dz, heading): its center and its length, width and height in meters in the LiDAR frame
(x forward, y left, z up), and the angle in radians from the x axis to its length, counter-clockwise seen from above.
"""

import numpy as np
from numpy.typing import NDArray

# of the unit box's corners: counter-clockwise from front left, the lower four first
CORNERS = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / 2


def wrapped(angles: NDArray) -> NDArray:
    """Angles ``(...)`` in radians, brought into [-pi, pi)."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


def footprints(boxes: NDArray) -> NDArray:
    """Corners ``(M, 4, 2)`` in meters of boxes ``(M, 7)`` seen from above, counter-clockwise from front left."""
    local = CORNERS * boxes[:, None, 3:5]
    cos, sin = np.cos(boxes[:, 6, None]), np.sin(boxes[:, 6, None])
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    return np.stack([x, y], axis=-1) + boxes[:, None, :2]


def corners(boxes: NDArray) -> NDArray:
    """Corners ``(M, 8, 3)`` in meters of boxes ``(M, 7)``: the footprint at the bottom, then at the top."""
    ground = np.tile(footprints(boxes), (1, 2, 1))
    half = np.repeat([-0.5, 0.5], 4) * boxes[:, 5:6]
    return np.concatenate([ground, (boxes[:, 2:3] + half)[..., None]], axis=-1)


def points_in_boxes(points: NDArray, boxes: NDArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which points are in which boxes, borders included.

    Points are sorted along x, so that each box is compared with those of its own strip only.

    Args:
        points: ``(N, 3 or more)`` x, y, z in meters.
        boxes: ``(M, 7)``.

    Returns:
        The indices of points and of boxes, ``(P,)`` each: one entry for each pair of a box and a point in it.
    """
    order = np.argsort(points[:, 0], kind="stable")
    reach = np.hypot(boxes[:, 3], boxes[:, 4]) / 2
    x = points[order, 0]
    first = np.searchsorted(x, boxes[:, 0] - reach, side="left")
    counts = np.searchsorted(x, boxes[:, 0] + reach, side="right") - first
    box = np.repeat(np.arange(len(boxes)), counts)
    point = order[np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts - first, counts)]

    offset = points[point, :3] - boxes[box, :3]
    cos, sin = np.cos(boxes[:, 6])[box], np.sin(boxes[:, 6])[box]
    along, across = cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0]
    half = boxes[box, 3:6] / 2
    inside = (abs(along) <= half[:, 0]) & (abs(across) <= half[:, 1]) & (abs(offset[:, 2]) <= half[:, 2])
    return point[inside], box[inside]


def num_points_in_boxes(points: NDArray, boxes: NDArray) -> NDArray[np.int64]:
    """How many of the points ``(N, 3 or more)`` are in each of the boxes ``(M, 7)``, as ``(M,)``."""
    return np.bincount(points_in_boxes(points, boxes)[1], minlength=len(boxes))
