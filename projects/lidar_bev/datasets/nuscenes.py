"""nuScenes (Caesar et al., CVPR 2020): HDL-32E sweeps of LIDAR_TOP, several of them in one cloud, with boxes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets import MissingData
from ccrop.datasets.base import spread
from ccrop.projects.lidar_bev.datasets.base import Objects, SweepDataset, Trajectories
from ccrop.projects.lidar_bev.datasets.nuscenes_annotations import read_annotations
from ccrop.projects.lidar_bev.datasets.nuscenes_splits import scenes_of, version_of
from ccrop.projects.lidar_bev.datasets.nuscenes_tables import key_frames, scene_names
from ccrop.projects.lidar_bev.datasets.reading import read_sweep, read_text

LAYOUT = """\
    {root}/v1.0-trainval/*.json                (or v1.0-mini: sample, sample_data, calibrated_sensor, ego_pose, ...)
    {root}/samples/LIDAR_TOP/*.pcd.bin         (key frames)
    {root}/sweeps/LIDAR_TOP/*.pcd.bin          (the sweeps between them)"""
CHECKED = 20  # sweeps before key frames whose existence is checked
COLUMNS = ("x", "y", "z", "intensity", "ring")
# nuScenes' ten detection classes, and the categories of its annotations that belong to each
CATEGORIES = {
    "car": ("vehicle.car",),
    "truck": ("vehicle.truck",),
    "bus": ("vehicle.bus.bendy", "vehicle.bus.rigid"),
    "trailer": ("vehicle.trailer",),
    "construction_vehicle": ("vehicle.construction",),
    "pedestrian": (
        "human.pedestrian.adult",
        "human.pedestrian.child",
        "human.pedestrian.construction_worker",
        "human.pedestrian.police_officer",
    ),
    "motorcycle": ("vehicle.motorcycle",),
    "bicycle": ("vehicle.bicycle",),
    "traffic_cone": ("movable_object.trafficcone",),
    "barrier": ("movable_object.barrier",),
}
CLASSES = tuple(CATEGORIES)
CLASS_OF = {category: name for name, categories in CATEGORIES.items() for category in categories}


class NuScenesSweeps(SweepDataset):
    """Sweeps ``(N, 5)``: x, y, z, intensity in [0, 1], and the time before the key frame in seconds,
    in nuScenes' own LiDAR frame: x right, y forward, z up.

    A sample is a key frame and the sweeps before it, transformed into the key frame's LiDAR frame by the vehicle's ego
    motion. Labeled samples also have ``velocities (M, 2)`` float32, along x and y in meters per second, NaN if not
    known.

    Args:
        data_root: see ``LAYOUT``.
        version: folder of the tables; by default v1.0-mini for mini_train and mini_val, else v1.0-trainval.
        split: train, val, mini_train or mini_val, or another, see :func:`.scenes_of`; None for all scenes.
        scenes: names of scenes, or the path of a text file with one on each line, instead of a split's.
        num_sweeps: sweeps in a sample, the key frame among them; fewer at the start of a scene.
        classes: see :class:`.SweepDataset`.
        min_distance: points that are closer to the sensor than this along both x and y are dropped, in meters:
            they lie on the car's roof.
    """

    layout = LAYOUT

    def __init__(
        self,
        data_root: str | Path,
        version: str | None = None,
        split: str | None = None,
        scenes: Sequence[str] | str | Path | None = None,
        num_sweeps: int = 10,
        classes: Sequence[str] = CLASSES,
        min_distance: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if num_sweeps < 1:
            raise ValueError(f"num_sweeps must be at least 1 (only the key frame), got {num_sweeps}")
        self.version = version_of(split) if version is None else version
        self.split = split
        self.chosen_scenes = scenes
        self.num_sweeps = num_sweeps
        self.min_distance = min_distance
        super().__init__(data_root, classes=classes, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        tables = Path(self.data_root, self.version)
        if not tables.is_dir():
            raise MissingData(f"{tables} is not a folder; expected layout:\n{LAYOUT.format(root=self.data_root)}")
        frames = key_frames(tables, self._scene_names(tables), self.num_sweeps)
        self._check_earlier_sweeps(frames)
        for frame in frames:
            frame["path"] = frame["sweeps"][0]["path"]
        if self.labeled:
            annotations = read_annotations(tables, (frame["sample"] for frame in frames))
            for frame in frames:
                own = annotations[frame["sample"]]
                frame["boxes"] = own.boxes(np.linalg.inv(frame["to_global"])).tolist()
                frame["names"] = [CLASS_OF.get(category, category) for category in own.categories]
        return frames

    def _scene_names(self, tables: Path) -> Sequence[str] | None:
        chosen = self.chosen_scenes
        if isinstance(chosen, str | Path):
            if not Path(chosen).is_file():
                raise MissingData(f"{chosen} is not a file; expected one scene name per line")
            return read_text(Path(chosen)).split()
        if chosen is None and self.split is not None:
            return scenes_of(self.split, Path(self.data_root), list(scene_names(tables).values()))
        return chosen

    def _check_earlier_sweeps(self, frames: Sequence[dict[str, Any]]) -> None:
        """Check that the sweeps between the key frames, which come in separate archives, exist.

        Raises:
            MissingData: none of those checked does.
        """
        earlier = sorted({sweep["path"] for frame in frames for sweep in frame["sweeps"][1:]})
        some = [Path(self.data_root, earlier[index]) for index in spread(len(earlier), CHECKED)]
        if some and not any(path.exists() for path in some):
            raise MissingData(
                f"{some[0]} does not exist, nor do any of the {len(some)} checked sweeps before key "
                "frames: unpack the sweep archives, or set num_sweeps=1 to read only the key frames"
            )

    def trajectories(self) -> Trajectories:
        if self.num_sweeps > 1:
            raise ValueError(
                f"{self.data_root}: motion scores compare single sweeps, but samples merge {self.num_sweeps} of them: "
                "set train_dataloader.dataset.num_sweeps=1"
            )
        infos = [self.get_data_info(index) for index in range(len(self))]
        seconds, poses = (np.array([info[name] for info in infos]) for name in ("seconds", "to_global"))
        return Trajectories(self.scenes(), seconds, poses)

    def read(self, info: dict[str, Any]) -> dict[str, Any]:
        return dict(points=np.concatenate([self._read_sweep(sweep) for sweep in info["sweeps"]]))

    def object_names(self, index: int) -> list[str]:
        return self.get_data_info(index)["names"]

    def objects(self, info: dict[str, Any]) -> Objects:
        boxes = np.array(info["boxes"], dtype=np.float32).reshape(-1, 9)
        return Objects(info["names"], boxes[:, :7], velocities=boxes[:, 7:])

    def _read_sweep(self, sweep: dict[str, Any]) -> NDArray[np.float32]:
        points = read_sweep(Path(self.data_root, sweep["path"]), COLUMNS)
        points = points[(abs(points[:, :2]) >= self.min_distance).any(axis=1)]
        to_key = np.array(sweep["to_key_frame"], dtype=np.float32)
        points[:, :3] = points[:, :3] @ to_key[:3, :3].T + to_key[:3, 3]
        points[:, 3] /= 255
        points[:, 4] = sweep["seconds_before"]
        return points
