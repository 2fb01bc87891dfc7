"""A plain folder of sweeps without labels: what people have."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccrop.datasets import MissingData
from projects.lidar_bev.datasets.base import SweepDataset
from projects.lidar_bev.datasets.reading import SWEEP_SUFFIXES, XYZ, XYZI, read_sweep

LAYOUT = "    {root}/**/*.bin, *.npy, *.pcd, *.ply         (nested folders too)"


class SweepFolder(SweepDataset):
    """All sweeps below a folder.

    Args:
        data_root: see ``LAYOUT``.
        columns: names of the values of a point in the files, see :func:`.read_sweep`; x, y and z among them.
        use: those of them that a sample has, x, y and z first. Default: all, in the order of ``columns``.
    """

    layout = LAYOUT

    def __init__(
        self, data_root: str | Path, columns: Sequence[str] = XYZI, use: Sequence[str] | None = None, **kwargs: Any
    ) -> None:
        self.columns = tuple(columns)
        self.use = tuple(columns if use is None else use)
        if len(set(self.columns)) < len(self.columns):
            raise ValueError(f"columns must differ from each other, got {self.columns}")
        if self.use[:3] != XYZ or not set(self.use) <= set(self.columns):
            raise ValueError(f"use must name x, y, z and then others of the columns {self.columns}, got {self.use}")
        super().__init__(data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        if not root.is_dir():
            raise MissingData(f"{root} is no folder; expected layout:\n{self.layout.format(root=root)}")
        return [dict(path=path) for path in list_sweeps(root)]

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        points = read_sweep(Path(self.data_root, info["path"]), self.columns)
        if self.use != self.columns:
            points = points[:, [self.columns.index(name) for name in self.use]]
        return dict(points=points)


def list_sweeps(root: str | Path) -> list[str]:
    """Sorted paths, relative to ``root``, of all sweeps below it, hidden ones not."""
    found: list[str] = []
    for parent, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "."]
        chosen = [name for name in names if name.lower().endswith(SWEEP_SUFFIXES) and name[0] != "."]
        found += [os.path.relpath(os.path.join(parent, name), root) for name in chosen]
    return sorted(found)
