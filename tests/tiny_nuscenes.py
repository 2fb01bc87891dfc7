"""A set of four scenes in nuScenes' published layout, with all tables that its devkit reads."""

import json
import math
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

SCENES = ("scene-0061", "scene-0655", "scene-0103", "scene-0916")  # two of mini_train, then mini_val
START = 1_532_402_927_000_000  # microseconds
MOUNT = dict(translation=[0.94, 0.0, 1.84], rotation=[math.sqrt(0.5), 0.0, 0.0, -math.sqrt(0.5)])
# category, length, width, height, place ahead and to the left of the first pose, speed along the heading, attribute
OBJECTS = (
    ("vehicle.car", 4.5, 1.9, 1.6, (8.0, 3.0), 3.0, "vehicle.moving"),
    ("vehicle.car", 4.2, 1.8, 1.5, (-7.0, -4.0), 0.0, "vehicle.parked"),
    ("human.pedestrian.adult", 0.7, 0.6, 1.8, (5.0, -5.0), 1.2, "pedestrian.moving"),
    ("movable_object.trafficcone", 0.4, 0.4, 1.0, (3.0, 6.0), 0.0, ""),
    ("movable_object.barrier", 0.5, 2.0, 1.0, (-4.0, 7.0), 0.0, ""),
    ("vehicle.bicycle", 1.8, 0.6, 1.2, (-8.0, 5.0), 0.0, "cycle.without_rider"),
    ("static_object.bicycle_rack", 4.0, 3.0, 1.5, (-8.0, 5.5), 0.0, ""),
    ("animal", 0.8, 0.3, 0.6, (0.0, -8.0), 0.0, ""),
)
SPARE_TABLES = ("log", "visibility", "map")


def yaw_quaternion(yaw: float) -> list[float]:
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def matrix(pose: dict) -> np.ndarray:
    result = np.eye(4)
    w, x, y, z = pose["rotation"]
    result[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    result[:3, 3] = pose["translation"]
    return result


def write_tiny_nuscenes(root: Path, seed: int = 0) -> None:
    """Each scene has three key frames half a second apart and a sweep between; the car drives, and so do others."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict]] = {name: [] for name in (*SPARE_TABLES, "ego_pose", "sample", "sample_data", "scene")}
    rows |= {name: [] for name in ("instance", "sample_annotation")}
    rows["sensor"] = [dict(token="lidar", channel="LIDAR_TOP", modality="lidar")]
    rows["calibrated_sensor"] = [dict(token="mount", sensor_token="lidar", camera_intrinsic=[], **MOUNT)]
    categories = list(dict.fromkeys(each[0] for each in OBJECTS))
    rows["category"] = [dict(token=f"category {name}", name=name, description="") for name in categories]
    names = sorted({each[-1] for each in OBJECTS} - {""})
    rows["attribute"] = [dict(token=f"attribute {name}", name=name, description="") for name in names]
    rows["log"] = [dict(token="log", logfile="", vehicle="", date_captured="", location="singapore-onenorth")]
    rows["map"] = [dict(token="map", log_tokens=["log"], category="semantic_prior", filename="")]
    for folder in ("samples", "sweeps"):
        (root / folder / "LIDAR_TOP").mkdir(parents=True)
    for number, scene in enumerate(SCENES):
        _write_scene(root, rows, number, scene, rng)
    (root / "v1.0-mini").mkdir()
    for name, table in rows.items():
        (root / "v1.0-mini" / f"{name}.json").write_text(json.dumps(table))


def _write_scene(root: Path, rows: dict[str, list[dict]], number: int, scene: str, rng: np.random.Generator) -> None:
    origin, drive = np.array([600.0 + 100 * number, 1600.0, 0.0]), 0.4 * number - 0.5
    turns = rng.uniform(-math.pi, math.pi, len(OBJECTS))
    turns[6] = turns[5]
    tokens = [f"{scene} sample {key}" for key in range(3)]
    rows["scene"].append(
        dict(
            token=scene, name=scene, description="", log_token="log", nbr_samples=3,
            first_sample_token=tokens[0], last_sample_token=tokens[-1],
        )
    )  # fmt: skip
    for time in range(5):  # quarters of a second; key frames at 0, 2 and 4
        is_key, token = time % 2 == 0, f"{scene} data {time}"
        timestamp = START + number * 60_000_000 + time * 250_000
        along = np.array([math.cos(drive), math.sin(drive), 0.0])
        pose = dict(translation=(origin + along * time).tolist(), rotation=yaw_quaternion(drive + 0.02 * time))
        rows["ego_pose"].append(dict(token=token, timestamp=timestamp, **pose))
        path = f"{'samples' if is_key else 'sweeps'}/LIDAR_TOP/{token.replace(' ', '_')}.pcd.bin"
        rows["sample_data"].append(
            dict(
                token=token, sample_token=tokens[(time + 1) // 2], ego_pose_token=token, filename=path, width=0,
                calibrated_sensor_token="mount", timestamp=timestamp, is_key_frame=is_key, fileformat="pcd", height=0,
                prev=f"{scene} data {time - 1}" if time else "", next=f"{scene} data {time + 1}" if time < 4 else "",
            )
        )  # fmt: skip
        if is_key:
            key = time // 2
            rows["sample"].append(
                dict(
                    token=tokens[key], timestamp=timestamp, scene_token=scene,
                    prev=tokens[key - 1] if key else "", next=tokens[key + 1] if key < 2 else "",
                )
            )  # fmt: skip
        to_lidar = np.linalg.inv(matrix(pose) @ matrix(MOUNT))
        clouds = [np.column_stack([rng.uniform(-15, 15, (600, 2)) + origin[:2], np.full(600, 0.0)])]
        for place, (turn, each) in enumerate(zip(turns, OBJECTS, strict=True)):
            category, length, width, height, (ahead, left), speed, attribute = each
            middle = np.add(origin, (ahead, left, height / 2))
            middle = middle + speed * 0.25 * time * np.array([math.cos(turn), math.sin(turn), 0])
            box = dict(translation=middle.tolist(), rotation=yaw_quaternion(turn))
            local = rng.uniform(-0.5, 0.5, (40, 3)) * [length, width, height]
            clouds.append(local @ matrix(box)[:3, :3].T + middle)
            if is_key:
                rows["sample_annotation"].append(
                    dict(
                        token=f"{scene} {place} {key}", sample_token=tokens[key], instance_token=f"{scene} {place}",
                        visibility_token="4", size=[width, length, height], num_lidar_pts=40, num_radar_pts=0, **box,
                        attribute_tokens=[f"attribute {attribute}"] if attribute else [],
                        prev=f"{scene} {place} {key - 1}" if key else "",
                        next=f"{scene} {place} {key + 1}" if key < 2 else "",
                    )
                )  # fmt: skip
                if key == 0:
                    rows["instance"].append(
                        dict(
                            token=f"{scene} {place}", category_token=f"category {category}", nbr_annotations=3,
                            first_annotation_token=f"{scene} {place} 0", last_annotation_token=f"{scene} {place} 2",
                        )
                    )  # fmt: skip
        points = np.concatenate(clouds) @ to_lidar[:3, :3].T + to_lidar[:3, 3]
        values = np.column_stack([points, np.full((len(points), 2), (77.0, 3.0))])
        values.astype(np.float32).tofile(root / path)
