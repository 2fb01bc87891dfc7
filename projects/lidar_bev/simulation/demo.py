"""The LiDAR demo set: simulated sweeps in KITTI's own format, drawn from a seed."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ccrop.datasets.generated import generate
from ccrop.projects.lidar_bev.datasets.kitti_format import (
    Calibration,
    KittiObjects,
    boxes_in_image,
    write_calibration,
    write_objects,
)
from ccrop.projects.lidar_bev.simulation.casting import cast
from ccrop.projects.lidar_bev.simulation.processes import simulated
from ccrop.projects.lidar_bev.simulation.scenes import NOTHING, sample_scene
from ccrop.projects.lidar_bev.simulation.sensors import SENSORS

VERSION = 2
SPLITS = ("train", "val")
# KITTI's camera: its focal length and principal point, 0.27 m ahead of the LiDAR and 0.08 m below it
CALIBRATION = Calibration(
    projection=np.array([[721.54, 0, 609.56, 44.86], [0, 721.54, 172.85, 0.216], [0, 0, 1, 0.00275]]),
    rectification=np.eye(3),
    velo_to_cam=np.column_stack([[[0, -1, 0], [0, 0, -1], [1, 0, 0]], [0, -0.08, -0.27]]),
)
MOST_TRUNCATED = 0.8
OCCLUSION = (0.8, 0.4, 0.1)  # smallest visible fractions of KITTI's levels 0, 1, 2; below: 3, unknown


def make_demo_sweeps(
    root: Path | str,
    num_train: int = 160,
    num_val: int = 40,
    sensor: str = "HDL-64E",
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Simulate the set into `root`, in KITTI's layout, with `ImageSets/train.txt` and `val.txt`.

    Each sweep is a scene of its own. `label_2` holds the objects in the camera's view, as KITTI's does, and `label_360`
    those all around, without boxes in the image. Objects that no ray hits have no label. The folder appears when it is
    complete, never before; one that is there with the same parameters is kept.

    Args:
        sensor: a name in :data:`.SENSORS`.
        workers: processes; the set does not depend on it. Default: one per core.

    Raises:
        FileExistsError: `root` exists and is something else.
    """
    if min(num_train, num_val) < 0:
        raise ValueError(f"the numbers of sweeps must not be negative, got {num_train} and {num_val}")
    if sensor not in SENSORS:
        raise ValueError(f"sensor must be one of {', '.join(SENSORS)}, got {sensor!r}")
    recipe = dict(version=VERSION, num_train=num_train, num_val=num_val, sensor=sensor, seed=seed)
    generate(root, recipe, "training/velodyne/*.bin", lambda folder: _fill(folder, recipe, workers))


def _fill(root: Path, recipe: dict[str, Any], workers: int | None) -> None:
    for folder in ("velodyne", "label_2", "label_360", "calib"):
        (root / "training" / folder).mkdir(parents=True)
    (root / "ImageSets").mkdir()
    num_train, total = recipe["num_train"], recipe["num_train"] + recipe["num_val"]
    for split, numbers in zip(SPLITS, (range(num_train), range(num_train, total)), strict=True):
        (root / "ImageSets" / f"{split}.txt").write_text("".join(f"{number:06d}\n" for number in numbers))
    simulate = partial(_simulate, root / "training", recipe["sensor"], recipe["seed"])
    simulated(simulate, total, workers, worth=8)


def _simulate(folder: Path, sensor: str, seed: int, number: int) -> None:
    """Write sweep ``number`` with its labels."""
    layout, measuring = np.random.default_rng((seed, number)).spawn(2)
    scene = sample_scene(layout, SENSORS[sensor].height)
    sweep = cast(scene, SENSORS[sensor], measuring)
    met = np.bincount(sweep.objects[sweep.objects != NOTHING], minlength=len(scene.names)) > 0
    image_boxes, truncated = boxes_in_image(scene.boxes, CALIBRATION)
    objects = KittiObjects(
        names=scene.names,
        boxes=scene.boxes,
        image_boxes=image_boxes,
        truncated=truncated,
        occluded=(sweep.visible[:, None] < OCCLUSION).sum(axis=1),
        scores=np.ones(len(scene.names)),
    )
    around = objects._replace(image_boxes=np.full_like(image_boxes, -1), truncated=np.full_like(truncated, -1))
    name = f"{number:06d}"
    sweep.points.tofile(folder / "velodyne" / f"{name}.bin")
    write_calibration(folder / "calib" / f"{name}.txt", CALIBRATION)
    write_objects(folder / "label_2" / f"{name}.txt", objects.only(met & (truncated < MOST_TRUNCATED)), CALIBRATION)
    write_objects(folder / "label_360" / f"{name}.txt", around.only(met), CALIBRATION)
