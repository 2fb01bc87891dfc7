"""The annotations of nuScenes' key frames: boxes, velocities and attributes, in the global or in the LiDAR frame."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.datasets.nuscenes_tables import MICROSECONDS, by_token, find, read_rows, rotation_matrices

LONGEST = 1.5  # seconds between adjacent annotations of a track beyond which the velocity is unknown


class GlobalObjects(NamedTuple):
    """The objects of a key frame in the global frame.

    Attributes:
        categories: their names in nuScenes' taxonomy.
        attributes: their names; empty if there is none.
        centers: ``(M, 3)`` in meters.
        sizes: ``(M, 3)`` length, width, height in meters.
        ahead: ``(M, 3)`` unit vectors along their lengths.
        velocities: ``(M, 3)`` in meters per second; NaN if not known.
        num_points: ``(M,)`` int64, of LiDAR and radar.
    """

    categories: list[str]
    attributes: list[str]
    centers: NDArray[np.float64]
    sizes: NDArray[np.float64]
    ahead: NDArray[np.float64]
    velocities: NDArray[np.float64]
    num_points: NDArray[np.int64]

    def boxes(self, transform: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """``(M, 9)``: boxes as defined in :mod:`ccrop.projects.lidar_bev.boxes`, and their velocities along x and y.

        Args:
            transform: ``(4, 4)`` from the global frame to that of the boxes; None for the global frame.
        """
        transform = np.eye(4) if transform is None else transform
        rotation = transform[:3, :3]
        centers = self.centers @ rotation.T + transform[:3, 3]
        ahead, velocities = self.ahead @ rotation.T, self.velocities @ rotation.T
        heading = wrapped(np.arctan2(ahead[:, 1], ahead[:, 0]))
        return np.column_stack([centers, self.sizes, heading, velocities[:, :2]])


def read_annotations(tables: Path, samples: Iterable[str]) -> dict[str, GlobalObjects]:
    """The annotations of key frames, by the token of their sample.

    A velocity is the displacement of an object's center from the previous to the next annotation, divided by the time
    between them; at the ends of its track, the annotation itself takes the place of the missing one (as in nuScenes'
    devkit).

    Args:
        tables: folder of the JSON files.
        samples: tokens.

    Raises:
        MissingData, ValueError: see :func:`.key_frames`.
    """
    names = {row["token"]: row["name"] for row in read_rows(tables, "category")}
    instances = {row["token"]: row["category_token"] for row in read_rows(tables, "instance")}
    attributes = {row["token"]: row["name"] for row in read_rows(tables, "attribute")}
    seconds = {row["token"]: row["timestamp"] * MICROSECONDS for row in read_rows(tables, "sample")}
    of_sample: dict[str, list[dict[str, Any]]] = {token: [] for token in samples}
    every = by_token(row for row in read_rows(tables, "sample_annotation"))
    for row in every.values():
        if row["sample_token"] in of_sample:
            of_sample[row["sample_token"]].append(row)

    def category(row: dict[str, Any]) -> str:
        return find(names, find(instances, row["instance_token"], tables, "instance"), tables, "category")

    def neighbor(row: dict[str, Any], side: str) -> dict[str, Any]:
        return find(every, row[side], tables, "sample_annotation") if row[side] else row

    def velocity(row: dict[str, Any]) -> NDArray[np.float64]:
        first, last = neighbor(row, "prev"), neighbor(row, "next")
        steps = (first is not row) + (last is not row)
        time = seconds[last["sample_token"]] - seconds[first["sample_token"]]
        if not steps or time > steps * LONGEST:
            return np.full(3, np.nan)
        return np.subtract(last["translation"], first["translation"]) / time

    def attribute(row: dict[str, Any]) -> str:
        return find(attributes, row["attribute_tokens"][0], tables, "attribute") if row["attribute_tokens"] else ""

    return {
        token: GlobalObjects(
            [category(row) for row in rows],
            [attribute(row) for row in rows],
            *_geometry(rows),
            velocities=np.array([velocity(row) for row in rows]).reshape(-1, 3),
            num_points=np.array([row["num_lidar_pts"] + row["num_radar_pts"] for row in rows], dtype=np.int64),
        )
        for token, rows in of_sample.items()
    }


def _geometry(rows: Sequence[dict[str, Any]]) -> tuple[NDArray, NDArray, NDArray]:
    """Centers, sizes and directions, ``(M, 3)`` each."""
    centers = np.array([row["translation"] for row in rows], dtype=np.float64).reshape(-1, 3)
    sizes = np.array([row["size"] for row in rows], dtype=np.float64).reshape(-1, 3)[:, [1, 0, 2]]
    turns = np.array([row["rotation"] for row in rows], dtype=np.float64).reshape(-1, 4)
    return centers, sizes, rotation_matrices(turns)[:, :, 0]
