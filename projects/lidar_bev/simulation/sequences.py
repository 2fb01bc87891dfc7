"""Simulated sequences: streets whose road users and sensor move, as key frames in nuScenes' layout."""

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ccrop.datasets.generated import generate
from ccrop.projects.lidar_bev.datasets.nuscenes_splits import TRAINVAL
from ccrop.projects.lidar_bev.datasets.nuscenes_tables import CHANNEL
from ccrop.projects.lidar_bev.simulation.casting import Sweep, cast
from ccrop.projects.lidar_bev.simulation.driving import in_motion
from ccrop.projects.lidar_bev.simulation.processes import simulated
from ccrop.projects.lidar_bev.simulation.scenes import NOTHING, Scene, sample_layout
from ccrop.projects.lidar_bev.simulation.sensors import SENSORS

VERSION = 1
SPLITS = ("sim_train", "sim_val")
FRAMES = 8  # key frames of a sequence
STEP = 0.5  # seconds between two of them, as in nuScenes
START = 1_500_000_000_000_000  # microseconds
APART = 60_000_000  # microseconds from the start of a sequence to that of the next
# nuScenes' category of each kind, and its attributes of those who move and of those who do not
KINDS = {
    "Car": ("vehicle.car", "vehicle.moving", "vehicle.parked"),
    "Van": ("vehicle.car", "vehicle.moving", "vehicle.parked"),
    "Truck": ("vehicle.truck", "vehicle.moving", "vehicle.parked"),
    "Pedestrian": ("human.pedestrian.adult", "pedestrian.moving", "pedestrian.standing"),
    "Cyclist": ("vehicle.bicycle", "cycle.with_rider", "cycle.with_rider"),
}
OF_SEQUENCES = ("scene", "sample", "sample_data", "ego_pose", "instance", "sample_annotation")  # tables

Rows = dict[str, list[dict[str, Any]]]


def make_demo_sequences(
    root: Path | str,
    num_train: int = 20,
    num_val: int = 5,
    sensor: str = "HDL-32E",
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Simulate sequences of ``FRAMES`` key frames into ``root``, in nuScenes' layout with ego poses and annotations.

    :class:`.NuScenesSweeps` reads it with the splits ``sim_train`` and ``sim_val``. Every sweep is a key frame, taken
    at one instant; the rings of points are 0. Objects that no ray hits are not annotated. The folder appears when it
    is complete, never before; one that is there with the same parameters is kept.

    Args:
        num_train, num_val: sequences.
        sensor: a name in :data:`.SENSORS`.
        workers: processes; the set does not depend on it. Default: one per core.

    Raises:
        FileExistsError: ``root`` exists and is something else.
    """
    if min(num_train, num_val) < 0:
        raise ValueError(f"the numbers of sequences must not be negative, got {num_train} and {num_val}")
    if sensor not in SENSORS:
        raise ValueError(f"sensor must be one of {', '.join(SENSORS)}, got {sensor!r}")
    recipe = dict(version=VERSION, sequences=True, num_train=num_train, num_val=num_val, sensor=sensor, seed=seed)
    generate(root, recipe, f"samples/{CHANNEL}/*_0.pcd.bin", lambda folder: _fill(folder, recipe, workers))


def _fill(root: Path, recipe: dict[str, Any], workers: int | None) -> None:
    (root / "samples" / CHANNEL).mkdir(parents=True)
    (root / TRAINVAL).mkdir()
    num_train, total = recipe["num_train"], recipe["num_train"] + recipe["num_val"]
    for split, numbers in zip(SPLITS, (range(num_train), range(num_train, total)), strict=True):
        (root / f"{split}.txt").write_text("".join(f"{_name(number)}\n" for number in numbers))
    simulate = partial(_simulate, root, recipe["sensor"], recipe["seed"])
    tables = _common_tables(SENSORS[recipe["sensor"]].height) | {name: [] for name in OF_SEQUENCES}
    for rows in simulated(simulate, total, workers, worth=2):
        for name, own in rows.items():
            tables[name] += own
    for name, table in tables.items():
        (root / TRAINVAL / f"{name}.json").write_text(json.dumps(table))


def _name(number: int) -> str:
    return f"sequence-{number:04d}"


def _common_tables(height: float) -> Rows:
    mount = dict(translation=[0.0, 0.0, height], rotation=_quaternion(0.0), camera_intrinsic=[])
    categories = sorted({category for category, *_ in KINDS.values()})
    attributes = sorted({attribute for _, *both in KINDS.values() for attribute in both})
    return dict(
        sensor=[dict(token=CHANNEL, channel=CHANNEL, modality="lidar")],
        calibrated_sensor=[dict(token="mount", sensor_token=CHANNEL, **mount)],
        category=[dict(token=name, name=name, description="") for name in categories],
        attribute=[dict(token=name, name=name, description="") for name in attributes],
    )


def _simulate(root: Path, sensor: str, seed: int, number: int) -> Rows:
    """Write the sweeps of sequence ``number``, and return its rows of the tables."""
    layout, motion, measuring = np.random.default_rng((seed, number)).spawn(3)
    times = (np.arange(FRAMES) - (FRAMES - 1) / 2) * STEP
    drive = in_motion(sample_layout(layout), motion, times[-1])
    name = _name(number)
    rows: Rows = {table: [] for table in OF_SEQUENCES}
    samples = [f"{name}_{frame}" for frame in range(FRAMES)]
    ends = dict(first_sample_token=samples[0], last_sample_token=samples[-1])
    rows["scene"].append(dict(token=name, name=name, description="", log_token="", nbr_samples=FRAMES, **ends))
    for frame, time in enumerate(times.tolist()):
        token = samples[frame]
        own = dict(token=token, timestamp=START + number * APART + round(frame * STEP * 1e6))
        pose = drive.pose(time)
        scene = drive.at(time).seen_from(SENSORS[sensor].height, pose)
        sweep = cast(scene, SENSORS[sensor], measuring)
        path = f"samples/{CHANNEL}/{token}.pcd.bin"
        _stored(sweep.points).tofile(root / path)
        chain = _neighbors(samples, frame)
        rows["sample"].append(own | chain | dict(scene_token=name))
        rows["ego_pose"].append(own | dict(translation=list(pose[:3]), rotation=_quaternion(pose[3])))
        rows["sample_data"].append(
            own
            | chain
            | dict(sample_token=token, ego_pose_token=token, calibrated_sensor_token="mount")
            | dict(filename=path, fileformat="pcd", is_key_frame=True, width=0, height=0)
        )
        rows["sample_annotation"] += _annotations(scene, sweep, pose, SENSORS[sensor].height, drive.speeds, token)
    categories = [KINDS[user.place.kind][0] for user in drive.layout.users]
    rows["instance"] = _tracks(rows["sample_annotation"], name, categories)
    return rows


def _stored(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points ``(N, 5)`` as in nuScenes' files: intensity up to 255, and a ring."""
    return np.column_stack([points[:, :3], points[:, 3] * 255, np.zeros(len(points))]).astype(np.float32)


def _annotations(
    scene: Scene,
    sweep: Sweep,
    pose: tuple[float, float, float, float],
    sensor_height: float,
    speeds: NDArray[np.float64],
    sample: str,
) -> list[dict[str, Any]]:
    """Rows of the objects that a ray hits, in the frame of the street; see :func:`_tracks` for what they lack."""
    met = np.bincount(sweep.objects[sweep.objects != NOTHING], minlength=len(scene.names))
    x0, y0, z0, turn = pose
    cos, sin = math.cos(turn), math.sin(turn)
    rows = []
    for place in np.flatnonzero(met).tolist():
        x, y, z, length, width, height, heading = scene.boxes[place].tolist()
        _, moves, stays = KINDS[scene.names[place]]
        rows.append(
            dict(
                token=f"{sample}_{place}",
                sample_token=sample,
                instance_token=place,
                translation=[x0 + cos * x - sin * y, y0 + sin * x + cos * y, z0 + sensor_height + z],
                size=[width, length, height],
                rotation=_quaternion(heading + turn),
                attribute_tokens=[moves if speeds[place] else stays],
                visibility_token="",
                num_lidar_pts=int(met[place]),
                num_radar_pts=0,
            )
        )
    return rows


def _tracks(annotations: list[dict[str, Any]], sequence: str, categories: Sequence[str]) -> list[dict[str, Any]]:
    """Link each object's annotations, which are in order of time and name its index, and return the instances."""
    instances = []
    for place, category in enumerate(categories):
        token = f"{sequence}_{place}"
        own = [row for row in annotations if row["instance_token"] == place]
        tokens = [row["token"] for row in own]
        for position, row in enumerate(own):
            row.update(_neighbors(tokens, position), instance_token=token)
        if own:
            ends = dict(first_annotation_token=tokens[0], last_annotation_token=tokens[-1])
            instances.append(dict(token=token, category_token=category, nbr_annotations=len(own), **ends))
    return instances


def _neighbors(tokens: Sequence[str], position: int) -> dict[str, str]:
    """``prev`` and ``next`` of a row in a chain; empty at its ends."""
    before, after = (tokens[position - 1] if position else ""), (*tokens, "")[position + 1]
    return dict(prev=before, next=after)


def _quaternion(yaw: float) -> list[float]:
    """w, x, y, z of a rotation about the vertical axis by ``yaw`` radians."""
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]
