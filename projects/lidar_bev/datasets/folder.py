"""A plain folder of sweeps without labels."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from ccrop.datasets import MissingData
from ccrop.datasets.base import say_once, spread
from ccrop.datasets.listing import list_files
from ccrop.datasets.reading import printable
from ccrop.projects.lidar_bev.datasets.base import SweepDataset
from ccrop.projects.lidar_bev.datasets.reading import SWEEP_SUFFIXES, XYZ, XYZI, read_sweep

LOOKED_AT = 200  # files whose sizes are compared
SMALL = 1 / 3  # of the largest file of its kind; sweeps of one sensor differ less
FEW = 0.05  # fraction of small files that does not trigger a warning
INTENSITY = "intensity"
SCALES = (1.0, 255.0, 65535.0)  # full-scale intensities that drivers write
LAYOUT = "    {root}/**/*.bin, *.npy, *.pcd, *.ply         (nested folders too)"


class SweepFolder(SweepDataset):
    """All sweeps under a folder.

    Args:
        data_root: see ``LAYOUT``; or one file.
        columns: names of the values of a point in the files, see :func:`.read_sweep`; x, y and z among them.
        use: the columns that samples keep, x, y and z first. Default: all, in the order of ``columns``.
        pattern: only files whose path matches, as in :meth:`pathlib.PurePath.match`: ``velodyne/*.bin`` leaves out
            the reduced copies and the crops of objects that other tools put next to KITTI's sweeps.
        intensity_scale: full-scale intensity in the files, 1, 255 or 65535; samples have it in [0, 1].
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        columns: Sequence[str] = XYZI,
        use: Sequence[str] | None = None,
        pattern: str | None = None,
        intensity_scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if intensity_scale <= 0:
            raise ValueError(f"intensity_scale must be positive, got {intensity_scale}")
        self.pattern = pattern
        self.intensity_scale = intensity_scale
        self.columns = tuple(columns)
        self.use = tuple(columns if use is None else use)
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must be distinct, got {self.columns}")
        if self.use[:3] != XYZ or not set(self.use) <= set(self.columns):
            raise ValueError(f"use must list x, y, z and then others of the columns {self.columns}, got {self.use}")
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        if root.is_file():
            return [dict(path="")]
        if not root.is_dir():
            raise MissingData(f"{root} is not a folder; expected layout:\n{self.layout.format(root=root)}")
        paths = list_sweeps(root)
        if self.pattern is not None:
            found, paths = paths, [path for path in paths if PurePath(path).match(self.pattern)]
            if found and not paths:
                raise MissingData(
                    f"{root}: none of {len(found)} sweeps, such as {printable(found[0])}, matches {self.pattern!r}"
                )
        _warn_of_small(root, paths)
        return [dict(path=path) for path in paths]

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        points = read_sweep(self.path(info), self.columns)
        if INTENSITY in self.columns:
            points = scaled(points, self.columns.index(INTENSITY), self.intensity_scale, self.data_root)
        if self.use != self.columns:
            points = points[:, [self.columns.index(name) for name in self.use]]
        return dict(points=points)


def scaled(points: NDArray[np.float32], column: int, scale: float, source: str | Path) -> NDArray[np.float32]:
    """Points ``(N, C)`` with their intensity divided by the full-scale intensity.

    Warns once if the values do not seem to have that scale.

    Args:
        column: index of the intensity.
        source: for the warning.
    """
    values = points[:, column]
    largest = float(np.max(values, initial=0, where=np.isfinite(values)))
    if largest > scale:
        likely = next((each for each in SCALES if largest <= each), largest)
        say_once(
            f"{source}: intensities exceed the declared maximum of {scale:g}: set intensity_scale to {likely:g}, so "
            "that a network sees values in [0, 1]"
        )
    elif scale > 1 and 0 < largest <= 1:
        say_once(f"{source}: a sweep's intensities do not exceed 1, but the declared maximum is {scale:g}")
    if scale == 1:
        return points
    points = points.copy()
    points[:, column] /= scale
    return points


def list_sweeps(root: str | Path) -> list[str]:
    """Sorted paths, relative to ``root``, of all sweeps below it, hidden ones not.

    Links are followed, but a folder that is reached more than once counts once. Skipped entries are counted in one
    line of the log.
    """
    return list_files(os.path.join(root, ""), SWEEP_SUFFIXES, (), "sweeps")


def _warn_of_small(root: Path, paths: Sequence[str]) -> None:
    """Warn if many files are much smaller than the largest of their type: crops or copies, most likely."""
    looked_at = [paths[index] for index in spread(len(paths), LOOKED_AT)]
    sizes = {path: os.path.getsize(root / path) for path in looked_at if os.path.isfile(root / path)}
    largest: dict[str, str] = {}
    for path in sizes:
        kind = PurePath(path).suffix.lower()
        largest[kind] = max(largest.get(kind, path), path, key=sizes.__getitem__)
    beside = {path: largest[PurePath(path).suffix.lower()] for path in sizes}
    small = [path for path in sizes if sizes[path] < SMALL * sizes[beside[path]]]
    if len(small) > FEW * len(looked_at):
        first, other = small[0], beside[small[0]]
        MMLogger.get_current_instance().warning(
            f"{printable(root)}: {len(small)} of {len(looked_at)} checked files are small for sweeps, such as "
            f"{printable(first)} with {sizes[first]} bytes next to {printable(other)} with {sizes[other]}: if they are "
            "crops or copies, exclude them with the data set's pattern"
        )
