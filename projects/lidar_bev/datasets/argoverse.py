"""Argoverse 2's sensor data set (Wilson et al., NeurIPS Datasets and Benchmarks 2021): feather files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.datasets.base import Objects, SweepDataset
from ccrop.projects.lidar_bev.datasets.nuscenes_tables import rotation_matrices
from ccrop.projects.lidar_bev.datasets.reading import XYZI, UnreadableSweep
from ccrop.projects.lidar_bev.extras import extra

LAYOUT = """\
    {root}/train/LOG/sensors/lidar/*.feather   (or val, test; one file per sweep, named by its timestamp in nanoseconds)
    {root}/train/LOG/annotations.feather       (only for labeled sweeps)"""
CLASSES = ("REGULAR_VEHICLE", "PEDESTRIAN", "BICYCLIST")
BOX = ("tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m")
ROTATION = ("qw", "qx", "qy", "qz")
FULL = 255  # intensity


class ArgoverseSweeps(SweepDataset):
    """Sweeps ``(N, 4)``: x, y, z, intensity in [0, 1], in the vehicle's frame, whose origin is its rear axle.

    Args:
        data_root: see ``LAYOUT``.
        split: folder of the logs: train, val or test.
        classes: names of categories.
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        split: str = "train",
        classes: Sequence[str] = CLASSES,
        **kwargs: Any,
    ) -> None:
        self.split = split
        super().__init__(data_root, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_root)
        if not (root / self.split).is_dir():
            raise MissingData(f"{root / self.split} is not a folder; expected layout:\n{LAYOUT.format(root=root)}")
        files = sorted((root / self.split).glob("*/sensors/lidar/*.feather"))
        return [dict(path=str(file.relative_to(root)), drive=file.parts[-4], time=int(file.stem)) for file in files]

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        columns = _read_feather(self.path(info), XYZI)
        points = np.stack([values.astype(np.float32) for values in columns], axis=1)
        points[:, 3] /= FULL
        return dict(points=points)

    def objects(self, info: dict[str, Any]) -> Objects:
        times, categories, boxes = read_annotations(Path(self.data_root, self.split, info["drive"]))
        own = np.flatnonzero(times == info["time"])
        return Objects([categories[place] for place in own], boxes[own])


@lru_cache(maxsize=8)
def read_annotations(log: Path) -> tuple[NDArray[np.int64], list[str], NDArray[np.float32]]:
    """All objects of a log: times ``(M,)`` in nanoseconds, categories, and boxes ``(M, 7)``.

    Raises:
        ValueError: the file is missing or damaged; names it.
    """
    file = log / "annotations.feather"
    if not file.is_file():
        raise ValueError(f"{file}: file not found: labeled sweeps need it (the test split has none)")
    try:
        times, categories, *values = _read_feather(file, ("timestamp_ns", "category", *BOX, *ROTATION))
    except UnreadableSweep as error:
        raise ValueError(str(error)) from error
    ahead = rotation_matrices(np.stack(values[6:], axis=1))[:, :, 0]
    heading = wrapped(np.arctan2(ahead[:, 1], ahead[:, 0]))
    return times, categories.tolist(), np.stack([*values[:6], heading], axis=1).astype(np.float32)


def _read_feather(path: Path, columns: Sequence[str]) -> list[NDArray]:
    feather = extra("pyarrow.feather", "reading Argoverse 2's files")
    try:
        table = feather.read_table(path, columns=list(columns))
        return [table[name].to_numpy() for name in columns]
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableSweep(
            path, f"damaged, or without {', '.join(columns)} ({' '.join(str(error).split())})"
        ) from error
