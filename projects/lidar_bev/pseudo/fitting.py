"""Clusters of a sweep as boxes that a detector can learn: rotated to fit their points, with the sizes of road users.

A sensor sees only the near sides of objects. The fitted rectangle determines a size class, and the box grows away from
the sensor to that class's size, as CPD completes its prototypes (Wu et al., Commonsense prototype for outdoor
unsupervised 3D object detection, CVPR 2024, section 3.3). Only what is wide grows to a vehicle: a cyclist is as long as
a car's rear is wide, but narrow where its rider ends.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.detection.cluster_labels import standing
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.pseudo.rotated_rectangles import fit_rectangles

MARGIN = 0.4  # meters around a cluster, whose cells are those near its peak
CLEARANCE = 0.25  # meters above a cluster's lowest point: lower ones may be ground
MIN_POINTS = 5  # for a fit
UPPER = 0.65  # fraction of the height above which a cyclist is a rider alone
# length and width in meters, and the limits between the size classes
PERSON, CYCLIST, CAR, VAN, TRUCK = range(5)
SIZES = np.array([(0.7, 0.7), (1.75, 0.6), (3.9, 1.65), (4.6, 1.9), (9.0, 2.5)])
PERSON_SIDES = (0.95, 0.85)  # longest, and widest
CYCLIST_SIDES = (2.2, 0.95)
CYCLIST_HEIGHT = 1.2  # at least
RIDER = 0.95  # largest extent of a cyclist's upper part
VAN_SIDE, VAN_HEIGHT = 4.6, 1.8  # larger ones are not cars
TRUCK_SIDE, TRUCK_HEIGHT = 6.5, 2.5
END_SIDES = (2.0, 1.0)  # a vehicle of which no more is seen shows its front or rear


class Fitted(NamedTuple):
    """Boxes fitted to clusters.

    Attributes:
        boxes: ``(M, 7)`` float32; where the heading is known, it is known modulo pi.
        heading_weights: ``(M,)`` float32, 1 where a vehicle's long side was seen, else 0.
        source: ``(M,)`` int64, the index of each box's cluster.
    """

    boxes: NDArray[np.float32]
    heading_weights: NDArray[np.float32]
    source: NDArray[np.int64]


def fitted(clusters: NDArray, points: NDArray, grid: Grid) -> Fitted:
    """The boxes of the clusters that have enough points for a fit.

    Args:
        clusters: ``(K, 4 or more)``, x0, y0, x1, y1 in fractions of the grid, where the points are, not moved.
        points: ``(N, 3 or more)`` in meters, the sensor at x = y = 0.
    """
    margin = MARGIN / np.subtract(grid.high[:2], grid.low[:2])
    around = clusters[:, :4] + np.concatenate([-margin, margin])
    columns = standing(around, points, grid)[0].astype(np.float64)
    point, own = points_in_boxes(points, columns)
    above = points[point, 2] - (columns[own, 2] - columns[own, 5] / 2)
    chosen = above >= CLEARANCE
    chosen &= (np.bincount(own[chosen], minlength=len(columns)) >= MIN_POINTS)[own]
    source, own = np.unique(own[chosen], return_inverse=True)
    xy, above = points[point[chosen], :2].astype(np.float64), above[chosen]
    number = len(source)

    angles, low, high = _long_side_first(*fit_rectangles(xy, own, number))
    sides = high - low
    height = np.zeros(number)
    np.maximum.at(height, own, above)
    kinds = size_classes(sides, height, _upper_extents(xy, above, own, angles, height))
    vehicle = kinds >= CAR
    end = vehicle & (sides < END_SIDES).all(axis=1)
    low, high = grown(low, high, np.where(end[:, None], SIZES[kinds][:, ::-1], SIZES[kinds]))
    center, sides = (low + high) / 2, high - low
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = cos * center[:, 0] - sin * center[:, 1], sin * center[:, 0] + cos * center[:, 1]
    sides = np.where(end[:, None], sides[:, ::-1], sides)
    boxes = np.column_stack([x, y, columns[source, 2], sides, columns[source, 5], angles + end * (np.pi / 2)])
    return Fitted(boxes.astype(np.float32), (vehicle & ~end).astype(np.float32), source)


def size_classes(sides: NDArray, height: NDArray, upper: NDArray) -> NDArray[np.int64]:
    """Positions ``(M,)`` in ``SIZES``.

    Args:
        sides: ``(M, 2)`` of the fitted rectangles, the longer first, in meters.
        height: ``(M,)`` of the highest point above the lowest.
        upper: ``(M,)`` extent along the longer side of what lies above ``UPPER`` of the height.
    """
    longest = sides[:, 0]
    truck = (height > TRUCK_HEIGHT) | (longest > TRUCK_SIDE)
    van = (height > VAN_HEIGHT) | (longest > VAN_SIDE)
    person = (sides < PERSON_SIDES).all(axis=1)
    cyclist = (sides < CYCLIST_SIDES).all(axis=1) & (height > CYCLIST_HEIGHT) & (upper < RIDER)
    return np.select([person, cyclist, truck, van], [PERSON, CYCLIST, TRUCK, VAN], CAR)


def grown(low: NDArray, high: NDArray, sizes: NDArray) -> tuple[NDArray, NDArray]:
    """Bounds ``(M, 2)`` lengthened to ``sizes (M, 2)`` at least, along axes through the sensor at 0.

    The near end stays, since the sensor sees it; where the sensor looks at a side's whole length, both ends move.
    """
    missing = (sizes - (high - low)).clip(min=0)
    beyond = np.where(low > 0, 1.0, np.where(high < 0, 0.0, 0.5))  # fraction of the growth at the higher end
    return low - missing * (1 - beyond), high + missing * beyond


def _long_side_first(angles: NDArray, low: NDArray, high: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The same rectangles, the first axis along the longer side."""
    turned = (high - low)[:, 1] > (high - low)[:, 0]
    across = np.stack([low[:, 1], -high[:, 0]], axis=1), np.stack([high[:, 1], -low[:, 0]], axis=1)
    low, high = (np.where(turned[:, None], other, own) for other, own in zip(across, (low, high), strict=True))
    return angles + turned * (np.pi / 2), low, high


def _upper_extents(xy: NDArray, above: NDArray, own: NDArray, angles: NDArray, height: NDArray) -> NDArray[np.float64]:
    """Extents ``(M,)`` along the angles of each cluster's upper points."""
    upper = above >= UPPER * height[own]
    xy, own = xy[upper], own[upper]
    along = np.cos(angles)[own] * xy[:, 0] + np.sin(angles)[own] * xy[:, 1]
    low, high = np.full(len(angles), np.inf), np.full(len(angles), -np.inf)
    np.minimum.at(low, own, along)
    np.maximum.at(high, own, along)
    return high - low
