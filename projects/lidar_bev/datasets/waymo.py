"""Waymo's Open Data set, version 2 (Sun et al., CVPR 2020): range images and boxes in parquet files."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.base import Objects, SweepDataset
from ccrop.projects.lidar_bev.datasets.range_images import TOP, Laser, points_of
from ccrop.projects.lidar_bev.datasets.reading import UnreadableSweep
from ccrop.projects.lidar_bev.extras import extra

LAYOUT = """\
    {root}/training/lidar/SEGMENT.parquet      (or validation, testing)
    {root}/training/{{lidar_pose,lidar_calibration,vehicle_pose}}/SEGMENT.parquet
    {root}/training/lidar_box/SEGMENT.parquet  (only for labeled sweeps)"""
CLASSES = ("Vehicle", "Pedestrian", "Cyclist")
TYPES = {1: "Vehicle", 2: "Pedestrian", 3: "Sign", 4: "Cyclist"}
TIME, LASER = "key.frame_timestamp_micros", "key.laser_name"
IMAGE = "range_image_return1"
BOX = [f"[LiDARBoxComponent].box.{each}" for each in ("center.x", "center.y", "center.z", "size.x", "size.y", "size.z")]
BOX.append("[LiDARBoxComponent].box.heading")
TYPE = "[LiDARBoxComponent].type"
TO_WORLD = "[VehiclePoseComponent].world_from_vehicle.transform"
TO_VEHICLE = "[LiDARCalibrationComponent].extrinsic.transform"
INCLINATION = "[LiDARCalibrationComponent].beam_inclination"


class WaymoSweeps(SweepDataset):
    """Sweeps ``(N, 5)`` of all lasers, first returns: x, y, z in the vehicle's frame, the hyperbolic tangent
    of the intensity, which is unbounded, and elongation. Points in unlabeled zones are dropped.

    Args:
        data_root: see ``LAYOUT``.
        split: folder: training, validation or testing.
        classes: any of Vehicle, Pedestrian, Cyclist and Sign.
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        split: str = "training",
        classes: Sequence[str] = CLASSES,
        **kwargs: Any,
    ) -> None:
        self.split = split
        super().__init__(data_root, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        base = Path(self.data_root, self.split)
        if not (base / "lidar").is_dir():
            raise MissingData(
                f"{base / 'lidar'} is not a folder; expected layout:\n{LAYOUT.format(root=self.data_root)}"
            )
        return [
            dict(path=f"{self.split}/lidar/{file.name}", drive=file.stem, time=int(time), title=f"{file.stem}/{time}")
            for file in sorted((base / "lidar").glob("*.parquet"))
            for time in np.unique(_columns(base / "vehicle_pose" / file.name, [TIME])[TIME])
        ]

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        base, name = Path(self.data_root, self.split), f"{info['drive']}.parquet"
        images = _images(base / "lidar" / name, "LiDARComponent", info["time"])
        if not images:
            raise UnreadableSweep(base / "lidar" / name, f"it has no range image at {info['time']}")
        poses = _images(base / "lidar_pose" / name, "LiDARPoseComponent", info["time"])
        if TOP in images and TOP not in poses:
            raise UnreadableSweep(base / "lidar_pose" / name, f"it has no pose of the top laser at {info['time']}")
        vehicle = _columns(base / "vehicle_pose" / name, [TIME, TO_WORLD], info["time"])[TO_WORLD][0]
        to_world = np.array(vehicle, dtype=np.float64).reshape(4, 4)
        lasers = read_lasers(base / "lidar_calibration" / name)
        clouds = [
            points_of(image, lasers[laser], poses.get(laser) if laser == TOP else None, to_world)
            for laser, image in sorted(images.items())
        ]
        return dict(points=np.concatenate(clouds))

    def objects(self, info: dict[str, Any]) -> Objects:
        times, names, boxes = read_boxes(Path(self.data_root, self.split, "lidar_box", f"{info['drive']}.parquet"))
        own = np.flatnonzero(times == info["time"])
        return Objects([names[place] for place in own], boxes[own])


@lru_cache(maxsize=8)
def read_boxes(file: Path) -> tuple[NDArray[np.int64], list[str], NDArray[np.float32]]:
    """All objects of a segment: times ``(M,)`` in microseconds, classes, and boxes ``(M, 7)``.

    Raises:
        ValueError: the file is missing or damaged; names it.
    """
    try:
        table = _columns(file, [TIME, TYPE, *BOX])
    except UnreadableSweep as error:
        raise ValueError(str(error)) from error
    names = [TYPES.get(int(kind), str(kind)) for kind in table[TYPE]]
    return table[TIME], names, np.stack([table[name] for name in BOX], axis=1).astype(np.float32)


@lru_cache(maxsize=8)
def read_lasers(file: Path) -> dict[int, Laser]:
    """The lasers of a segment by their number."""
    table = _columns(file, [LASER, TO_VEHICLE, *(f"{INCLINATION}.{each}" for each in ("min", "max", "values"))])
    return {
        int(laser): Laser(
            np.array(table[TO_VEHICLE][place], dtype=np.float64).reshape(4, 4),
            (table[f"{INCLINATION}.min"][place], table[f"{INCLINATION}.max"][place]),
            table[f"{INCLINATION}.values"][place],
        )
        for place, laser in enumerate(table[LASER])
    }


def _images(file: Path, component: str, time: int) -> dict[int, NDArray[np.float32]]:
    """The range images of a frame, ``(H, W, channels)``, by their laser."""
    values, shape = (f"[{component}].{IMAGE}.{each}" for each in ("values", "shape"))
    table = _columns(file, [LASER, TIME, values, shape], time)
    return {
        int(laser): np.array(table[values][place], dtype=np.float32).reshape(table[shape][place])
        for place, laser in enumerate(table[LASER])
    }


def _columns(file: Path, names: Sequence[str], time: int | None = None) -> dict[str, NDArray]:
    """Columns of a file, only for one frame if its time is given."""
    parquet = extra("pyarrow.parquet", "reading Waymo's files")
    if not file.is_file():
        raise UnreadableSweep(file, "file not found: download this component of the segment, too")
    try:
        table = parquet.read_table(file, columns=list(names), filters=None if time is None else [(TIME, "=", time)])
        return {name: table[name].to_numpy() for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableSweep(
            file, f"damaged, or without {', '.join(names)} ({' '.join(str(error).split())})"
        ) from error
