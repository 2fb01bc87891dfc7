"""Rotated rectangles around clusters of points seen from above, all clusters at once.

A sensor sees one or two sides of a vehicle, an L. The rectangle's direction is the one in which points lie closest to
its sides (Zhang et al., Efficient L-shape fitting for vehicle detection using laser scanners, IV 2017, algorithm 4).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEPS = 45  # directions that are tried in a right angle
NEAREST = 0.1  # meters from a side; points closer than this all count the same


class Rectangles(NamedTuple):
    """Rotated rectangles.

    Attributes:
        angles: ``(M,)`` radians of the first axis in [0, pi / 2).
        low, high: ``(M, 2)`` bounds in meters along the first and the second axis.
    """

    angles: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def fit_rectangles(xy: NDArray, clusters: NDArray[np.int64], number: int) -> Rectangles:
    """The rectangles with the highest closeness; all zero for a cluster without points.

    Args:
        xy: ``(P, 2)`` meters.
        clusters: ``(P,)`` the cluster of each point.
        number: M, the number of clusters.
    """
    order = np.argsort(clusters, kind="stable")
    xy, clusters = xy[order], clusters[order]
    present, starts, members = np.unique(clusters, return_index=True, return_inverse=True)
    angles = np.arange(STEPS) * (np.pi / 2 / STEPS)
    axes = np.stack([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]])  # (2, 2, A)
    along = np.einsum("pc,dca->dpa", xy, axes)  # (2, P, A)
    result = Rectangles(np.zeros(number), np.zeros((number, 2)), np.zeros((number, 2)))
    if not len(present):
        return result
    low, high = np.minimum.reduceat(along, starts, axis=1), np.maximum.reduceat(along, starts, axis=1)
    to_sides = np.minimum(along - low[:, members], high[:, members] - along).min(axis=0)
    closeness = np.add.reduceat(1 / to_sides.clip(min=NEAREST), starts, axis=0)  # (present, A)
    best = closeness.argmax(axis=1)
    rows = np.arange(len(present))
    result.angles[present] = angles[best]
    result.low[present], result.high[present] = low[:, rows, best].T, high[:, rows, best].T
    return result
