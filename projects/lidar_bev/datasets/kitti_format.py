"""KITTI's files for one frame: calibration and labels, read and written (Geiger et al., CVPR 2012).

KITTI's boxes are given in the camera's frame (x right, y down, z forward): the center of the bottom, height, width,
length, and rotation_y about the axis that points down. Here they are (x, y, z, dx, dy, dz, heading) in the LiDAR frame,
with heading = -rotation_y - pi / 2.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import corners, wrapped
from ccrop.projects.lidar_bev.datasets.objects import MissingLabels
from ccrop.projects.lidar_bev.datasets.reading import read_text

IMAGE_SIZE = (1242, 375)  # width and height of most KITTI images
NUM_FIELDS = 15  # of a label's line; results have a score too


class Calibration(NamedTuple):
    """The projection of points from the LiDAR frame into the left color image.

    Attributes:
        projection: ``(3, 4)`` P2, rectified camera frame to pixels.
        rectification: ``(3, 3)`` R0_rect.
        velo_to_cam: ``(3, 4)`` Tr_velo_to_cam.
    """

    projection: NDArray[np.float64]
    rectification: NDArray[np.float64]
    velo_to_cam: NDArray[np.float64]

    def to_camera(self, points: NDArray) -> NDArray[np.float64]:
        """Points ``(N, 3)`` of the LiDAR frame in the rectified camera frame, in meters."""
        rotation, offset = self._rotation_and_offset()
        return points @ rotation.T + offset

    def to_lidar(self, points: NDArray) -> NDArray[np.float64]:
        """The inverse of :meth:`to_camera`."""
        rotation, offset = self._rotation_and_offset()
        return (points - offset) @ np.linalg.inv(rotation).T

    def project(self, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixels ``(N, 2)`` and depth ``(N,)`` in meters of points ``(N, 3)`` of the camera frame."""
        image = points @ self.projection[:, :3].T + self.projection[:, 3]
        depth = image[:, 2]
        return image[:, :2] / np.where(depth == 0, np.finfo(np.float64).tiny, depth)[:, None], depth

    def _rotation_and_offset(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.rectification @ self.velo_to_cam[:, :3], self.rectification @ self.velo_to_cam[:, 3]


# a forward-looking camera at the sensor, with x right, y down, z forward and a focal length of one
AT_SENSOR = Calibration(np.eye(3, 4), np.eye(3), np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0]]))


class KittiObjects(NamedTuple):
    """The ``M`` objects of a frame, without DontCare regions.

    Attributes:
        names: their classes.
        boxes: ``(M, 7)`` float64 in the LiDAR frame, see :mod:`ccrop.projects.lidar_bev.boxes`.
        image_boxes: ``(M, 4)`` left, top, right, bottom in pixels.
        truncated: ``(M,)`` fraction outside the image, in [0, 1]; -1 where unknown.
        occluded: ``(M,)`` int64, 0 fully visible, 1 partly occluded, 2 largely occluded, 3 or -1 unknown.
        scores: ``(M,)`` of results; 1 for labels.
    """

    names: list[str]
    boxes: NDArray[np.float64]
    image_boxes: NDArray[np.float64]
    truncated: NDArray[np.float64]
    occluded: NDArray[np.int64]
    scores: NDArray[np.float64]

    def only(self, chosen: NDArray[np.bool_]) -> "KittiObjects":
        """The objects that ``chosen (M,)`` marks."""
        names = [name for name, stays in zip(self.names, chosen, strict=True) if stays]
        return KittiObjects(
            names,
            self.boxes[chosen],
            self.image_boxes[chosen],
            self.truncated[chosen],
            self.occluded[chosen],
            self.scores[chosen],
        )


def in_image(points: NDArray, calibration: Calibration, image_size: tuple[int, int] = IMAGE_SIZE) -> NDArray[np.bool_]:
    """Which of the points ``(N, 3 or more)`` of the LiDAR frame the image of ``image_size`` (width, height) shows."""
    pixels, depth = calibration.project(calibration.to_camera(points[:, :3]))
    return (depth > 0) & ((pixels >= 0) & (pixels < image_size)).all(axis=1)


def boxes_to_lidar(camera_boxes: NDArray, calibration: Calibration) -> NDArray[np.float64]:
    """KITTI's boxes ``(M, 7)`` height, width, length, x, y, z, rotation_y, in the LiDAR frame."""
    height, width, length = camera_boxes[:, :3].T
    center = calibration.to_lidar(camera_boxes[:, 3:6])
    center[:, 2] += height / 2
    heading = wrapped(-camera_boxes[:, 6] - np.pi / 2)
    return np.column_stack([center, length, width, height, heading])


def boxes_to_camera(boxes: NDArray, calibration: Calibration) -> NDArray[np.float64]:
    """The inverse of :func:`boxes_to_lidar`."""
    bottom = boxes[:, :3] - [0, 0, 0.5] * boxes[:, 5:6]
    rotation_y = wrapped(-boxes[:, 6] - np.pi / 2)
    return np.column_stack([boxes[:, [5, 4, 3]], calibration.to_camera(bottom), rotation_y])


def boxes_in_image(
    boxes: NDArray, calibration: Calibration, image_size: tuple[int, int] = IMAGE_SIZE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The position of boxes ``(M, 7)`` of the LiDAR frame in an image of ``image_size`` (width, height).

    Corners less than 0.1 m ahead of the camera are taken as 0.1 m ahead.

    Returns:
        ``(M, 4)`` left, top, right, bottom in pixels, cut to the image, and the truncated fraction ``(M,)`` of each
        box, 1 for a box that the image does not show.
    """
    camera = calibration.to_camera(corners(boxes).reshape(-1, 3))
    behind = (camera[:, 2].reshape(-1, 8) < 0.1).all(axis=1)
    camera[:, 2] = camera[:, 2].clip(min=0.1)
    pixels = calibration.project(camera)[0].reshape(-1, 8, 2)
    whole = np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)
    shown = whole.clip(0, np.tile(np.array(image_size) - 1, 2))
    area, shown_area = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (whole, shown))
    truncated = 1 - shown_area / area.clip(min=1e-9)
    return shown, np.where(behind, 1.0, truncated.clip(0, 1))


def read_calibration(path: str | Path) -> Calibration:
    """The calibration file of a frame.

    Raises:
        ValueError: it is missing or lacks a matrix; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{path}: labels need the frame's calibration, but this file does not exist: add it, or set "
            "calibrated=False if labels are given in the frame of a forward-looking camera at the sensor"
        )
    lines = [line.split(":", 1) for line in read_text(path).splitlines() if ":" in line]
    values = {name.strip(): numbers.split() for name, numbers in lines}
    matrices = []
    for name, shape in (("P2", (3, 4)), ("R0_rect", (3, 3)), ("Tr_velo_to_cam", (3, 4))):
        try:
            matrices.append(np.array(values[name], dtype=np.float64).reshape(shape))
        except (KeyError, ValueError):
            raise ValueError(
                f"{path}: it has no line '{name}:' with {shape[0] * shape[1]} numbers; expected a calibration file of "
                "KITTI's object benchmark"
            ) from None
    return Calibration(*matrices)


def read_objects(path: str | Path, calibration: Calibration) -> KittiObjects:
    """The label or result file of a frame; an empty one has no objects. DontCare regions are left out.

    Raises:
        MissingLabels: there is no such file.
        ValueError: a line is not in KITTI's format; names the file and the line.
    """
    names, table = _read_table(Path(path))
    return KittiObjects(
        names=names,
        boxes=boxes_to_lidar(table[:, 7:14], calibration),
        image_boxes=table[:, 3:7],
        truncated=table[:, 0],
        occluded=table[:, 1].astype(np.int64),
        scores=table[:, 14],
    )


def read_names(path: str | Path) -> list[str]:
    """The classes of a label file's objects; raises as :func:`read_objects` does."""
    return _read_table(Path(path))[0]


def _read_table(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Classes, and ``(M, 15)`` of the numbers of each line, the score last."""
    if not path.is_file():
        raise MissingLabels(f"{path}: label file not found: add it, or read the set with labeled=False")
    names, rows = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if not fields or fields[0] == "DontCare":
            continue
        try:
            values = [float(field) for field in fields[1:]]
        except ValueError:
            values = []
        if len(fields) not in (NUM_FIELDS, NUM_FIELDS + 1) or len(values) != len(fields) - 1:
            raise ValueError(
                f"{path}, line {number}: expected a class and {NUM_FIELDS - 1} numbers (in results "
                f"also a score), got {line!r}"
            )
        names.append(fields[0])
        rows.append([*values, 1.0][:NUM_FIELDS])
    return names, np.array(rows, dtype=np.float64).reshape(-1, NUM_FIELDS)


def write_calibration(path: str | Path, calibration: Calibration) -> None:
    """Write a calibration file that :func:`read_calibration` and other KITTI readers accept; all cameras are P2."""
    names = {f"P{camera}": calibration.projection for camera in range(4)}
    names |= dict(R0_rect=calibration.rectification, Tr_velo_to_cam=calibration.velo_to_cam)
    names |= dict(Tr_imu_to_velo=np.eye(3, 4))
    Path(path).write_text("".join(f"{name}: {_numbers(matrix.ravel(), '.12e')}\n" for name, matrix in names.items()))


def write_objects(path: str | Path, objects: KittiObjects, calibration: Calibration, scores: bool = False) -> None:
    """Write a label file, or with ``scores`` a result file."""
    camera_boxes = boxes_to_camera(objects.boxes, calibration)
    alpha = wrapped(camera_boxes[:, 6] - np.arctan2(camera_boxes[:, 3], camera_boxes[:, 5]))
    lines = []
    for i, name in enumerate(objects.names):
        numbers = [alpha[i], *objects.image_boxes[i], *camera_boxes[i]]
        score = f" {objects.scores[i]:.4f}" if scores else ""
        lines.append(f"{name} {objects.truncated[i]:.2f} {objects.occluded[i]:d} {_numbers(numbers, '.2f')}{score}\n")
    Path(path).write_text("".join(lines))


def _numbers(values: Sequence[float] | NDArray, form: str) -> str:
    return " ".join(format(value, form) for value in values)
