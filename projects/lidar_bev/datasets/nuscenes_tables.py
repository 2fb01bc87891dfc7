"""nuScenes' JSON tables: which sweeps belong to a key frame, and where they were taken."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets.reading import read_text

CHANNEL = "LIDAR_TOP"
MICROSECONDS = 1e-6


def key_frames(tables: Path, scenes: Sequence[str] | None, num_sweeps: int) -> list[dict[str, Any]]:
    """The key frames of scenes, in the order of their names and of time.

    Args:
        tables: folder of the JSON files.
        scenes: names, or None for all.
        num_sweeps: sweeps of each key frame, itself among them.

    Returns:
        A dict per key frame with its scene as ``drive``, its ``sample`` (the token), its time in ``seconds``,
        ``to_global (4, 4)`` from its LiDAR frame, ``ego``, the global x and y of the vehicle, and ``sweeps``, from the
        key frame back in time: each a ``path``, ``to_key_frame (4, 4)`` from its LiDAR frame to the key frame's, and
        ``seconds_before``. Arrays are lists of floats.

    Raises:
        MissingData: a table is missing.
        ValueError: a scene is not in the tables, or a table refers to a missing row of another; names the files.
    """
    sensors = {row["token"] for row in read_rows(tables, "sensor") if row["channel"] == CHANNEL}
    calibrated = by_token(row for row in read_rows(tables, "calibrated_sensor") if row["sensor_token"] in sensors)
    sweeps = by_token(row for row in read_rows(tables, "sample_data") if row["calibrated_sensor_token"] in calibrated)
    needed = {row["ego_pose_token"] for row in sweeps.values()}
    poses = by_token(row for row in read_rows(tables, "ego_pose") if row["token"] in needed)
    to_global = {}
    for token, row in sweeps.items():
        pose = find(poses, row["ego_pose_token"], tables, "ego_pose")
        to_global[token] = pose_matrix(pose) @ pose_matrix(calibrated[row["calibrated_sensor_token"]])

    frames = []
    wanted = _chosen(scene_names(tables), scenes, tables)
    samples = by_token(read_rows(tables, "sample"))
    keys = [row for row in sweeps.values() if row["is_key_frame"]]
    for key in sorted(keys, key=lambda row: row["timestamp"]):
        scene = wanted.get(find(samples, key["sample_token"], tables, "sample")["scene_token"])
        if scene is None:
            continue
        from_global = np.linalg.inv(to_global[key["token"]])
        chain = [key]
        while len(chain) < num_sweeps and chain[-1]["prev"]:
            chain.append(find(sweeps, chain[-1]["prev"], tables, "sample_data"))
        frames.append(
            dict(
                drive=scene,
                sample=key["sample_token"],
                seconds=key["timestamp"] * MICROSECONDS,
                ego=poses[key["ego_pose_token"]]["translation"][:2],
                to_global=to_global[key["token"]].tolist(),
                sweeps=[
                    dict(
                        path=row["filename"],
                        to_key_frame=(from_global @ to_global[row["token"]]).tolist(),
                        seconds_before=(key["timestamp"] - row["timestamp"]) * MICROSECONDS,
                    )
                    for row in chain
                ],
            )
        )
    return sorted(frames, key=lambda frame: frame["drive"])


def pose_matrix(row: dict[str, Any]) -> NDArray[np.float64]:
    """``(4, 4)`` of a table's ``translation`` in meters and ``rotation``, a quaternion w, x, y, z."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation_matrices(row["rotation"])
    matrix[:3, 3] = row["translation"]
    return matrix


def rotation_matrices(quaternions: ArrayLike) -> NDArray[np.float64]:
    """``(..., 3, 3)`` of quaternions ``(..., 4)`` w, x, y, z of any length but 0."""
    quaternions = np.asarray(quaternions, dtype=np.float64)
    w, x, y, z = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def scene_names(tables: Path) -> dict[str, str]:
    """Token to name of all scenes."""
    return {row["token"]: row["name"] for row in read_rows(tables, "scene")}


def _chosen(names: dict[str, str], scenes: Sequence[str] | None, tables: Path) -> dict[str, str]:
    unknown = sorted(set(scenes or ()) - set(names.values()))
    if unknown:
        raise ValueError(
            f"{tables / 'scene.json'} has no scene {', '.join(unknown[:5])} ({len(unknown)} are missing): check "
            "that the scenes belong to this version of nuScenes"
        )
    return names if scenes is None else {token: name for token, name in names.items() if name in set(scenes)}


def read_rows(tables: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table.

    Raises:
        MissingData: there is no such table.
        ValueError: it is damaged.
    """
    file = tables / f"{name}.json"
    if not file.is_file():
        raise MissingData(
            f"{file} is not a file: nuScenes' table {name!r} is needed; unpack the metadata archive again"
        )
    try:
        return json.loads(read_text(file))
    except ValueError as error:
        raise ValueError(f"{file}: damaged ({error}): unpack the metadata archive again") from error


def by_token(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["token"]: row for row in rows}


def find(rows: dict[str, Any], token: str, tables: Path, name: str) -> Any:
    """The row of a table with a token.

    Raises:
        ValueError: there is none; names the table.
    """
    try:
        return rows[token]
    except KeyError:
        raise ValueError(
            f"{tables / f'{name}.json'} has no {token!r}, which another table refers to: check that all tables are "
            "of the same version"
        ) from None
