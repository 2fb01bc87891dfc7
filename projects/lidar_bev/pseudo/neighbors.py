"""Sweeps of the same drive a little before and after, in one frame."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets import UnreadableFile
from ccrop.projects.lidar_bev.datasets import SweepDataset
from ccrop.projects.lidar_bev.datasets.base import Trajectories
from ccrop.projects.lidar_bev.pseudo.motion import OtherSweep, box_motion

TOLERANCE = 0.25  # of a gap, by which the next sweep may be off


def neighbors(trajectories: Trajectories, gaps: Sequence[float]) -> list[list[int]]:
    """For each sweep, the indices of those in its drive that are closest to so many seconds before and after.

    Args:
        gaps: seconds; a sweep counts within ``TOLERANCE`` of them.

    Raises:
        ValueError: they are not a list of positive numbers, or no sweep has any.
    """
    listed = isinstance(gaps, list | tuple) and all(isinstance(gap, int | float) for gap in gaps)
    if not listed or not gaps or min(gaps) <= 0:
        raise ValueError(f"pseudo_boxes.motion_gaps must be a list of positive seconds such as (0.5,1.0), got {gaps}")
    drives, seconds = np.array(trajectories.drives), trajectories.seconds
    found = []
    for index, time in enumerate(seconds):
        same = np.flatnonzero(drives == drives[index])
        nearest = set()
        for gap in (sign * each for each in gaps for sign in (-1, 1)):
            off = abs(seconds[same] - time - gap)
            if off.min() <= TOLERANCE * abs(gap):
                nearest.add(int(same[off.argmin()]))
        found.append(sorted(nearest))
    if not any(found):
        raise ValueError(
            f"pseudo_boxes.min_motion compares sweeps of a drive, but none of the {len(found)} sweeps has another "
            f"about {' or '.join(f'{gap:g}' for gap in gaps)} s before or after: set pseudo_boxes.motion_gaps to "
            "the gaps between your sweeps"
        )
    return found


class MotionOfBoxes:
    """Motion of boxes in the sweeps of a data set, by those before and after; see :func:`.box_motion`.

    Args:
        gaps: see :func:`neighbors`.

    Raises:
        ValueError: the data set has no poses, or no sweep has a neighbor.
    """

    def __init__(self, sweeps: SweepDataset, gaps: Sequence[float]) -> None:
        self.sweeps = sweeps
        self.trajectories = sweeps.trajectories()
        self.neighbors = neighbors(self.trajectories, gaps)

    def __call__(self, index: int, boxes: NDArray, points: NDArray) -> NDArray[np.float64]:
        """``(M,)`` in [0, 1] of the boxes ``(M, 7)`` in sweep ``index`` of ``points (N, 3 or more)``."""
        return box_motion(boxes, points, self._others(index))

    def _others(self, index: int) -> list[OtherSweep]:
        """The neighbors in the frame of a sweep; those that cannot be read are left out."""
        found = []
        for other in self.neighbors[index]:
            try:
                points = self.sweeps.known(other)["points"]
            except UnreadableFile:
                continue
            transform = np.linalg.inv(self.trajectories.poses[index]) @ self.trajectories.poses[other]
            found.append(OtherSweep(points[:, :3] @ transform[:3, :3].T + transform[:3, 3], transform[:3, 3]))
        return found
