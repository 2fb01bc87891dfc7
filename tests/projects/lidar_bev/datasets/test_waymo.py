"""Waymo's parquet files, as version 2 has them: a turning laser with poses of pixels, and one that stands still."""

import math
from pathlib import Path

import numpy as np
import pytest

from ccrop.datasets import MissingData
from ccrop.projects.lidar_bev.datasets import OTHER, WaymoSweeps
from ccrop.projects.lidar_bev.datasets.range_images import Laser, inclinations_of, rotations

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
SEGMENT = "10017090168044687777_6380_000_6400_000"
TIMES = (1_550_083_467_346_370, 1_550_083_467_446_370)
MOUNT = np.array([[0.0, -1, 0, 1.5], [1, 0, 0, 0.2], [0, 0, 1, 2.0], [0, 0, 0, 1]])  # a quarter turn to the left
BEAMS = [-0.3, -0.1, 0.05]


def pose(yaw: float, x: float, y: float) -> np.ndarray:
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]])


def write(folder: Path, columns: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    number = len(next(iter(columns.values())))
    table = {"key.segment_context_name": [SEGMENT] * number} | columns
    parquet.write_table(pyarrow.table(table), folder / f"{SEGMENT}.parquet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    base, time, laser = tmp_path / "training", "key.frame_timestamp_micros", "key.laser_name"
    top = np.zeros((3, 4, 4), np.float32)
    top[..., 0] = -1
    top[0, 1], top[2, 3], top[1, 0] = (20, 2, 0.5, -1), (10, 0.5, 0.1, -1), (5, 1, 0, 1)  # the last is not labeled
    front = np.full((2, 1, 4), -1, np.float32)
    front[0, 0] = (4, 0, 0, -1)
    shape = lambda image: list(image.shape)  # noqa: E731
    values, sizes = "[LiDARComponent].range_image_return1.values", "[LiDARComponent].range_image_return1.shape"
    images = [top, front] * 2
    write(base / "lidar", {
        time: np.repeat(TIMES, 2), laser: pyarrow.array([1, 2, 1, 2], pyarrow.int8()),
        values: [image.ravel().tolist() for image in images], sizes: [shape(image) for image in images],
    })  # fmt: skip
    poses = np.zeros((3, 4, 6), np.float32)
    poses[..., 2], poses[..., 3] = 0.5, 101.0  # a meter before the frame's own
    write(base / "lidar_pose", {
        time: list(TIMES), laser: [1, 1], values.replace("LiDAR", "LiDARPose", 1): [poses.ravel().tolist()] * 2,
        sizes.replace("LiDAR", "LiDARPose", 1): [shape(poses)] * 2,
    })  # fmt: skip
    transforms = [pose(0.5, 101 + math.cos(0.5), math.sin(0.5)).ravel().tolist(), pose(0.5, 101, 0).ravel().tolist()]
    write(base / "vehicle_pose", {
        time: list(TIMES), "[VehiclePoseComponent].world_from_vehicle.transform": transforms,
    })  # fmt: skip
    inclination = "[LiDARCalibrationComponent].beam_inclination"
    write(base / "lidar_calibration", {
        laser: [1, 2],
        "[LiDARCalibrationComponent].extrinsic.transform": [MOUNT.ravel().tolist(), np.eye(4).ravel().tolist()],
        f"{inclination}.min": [-0.3, -0.4], f"{inclination}.max": [0.05, 0.4], f"{inclination}.values": [BEAMS, None],
    })  # fmt: skip
    box = {"center.x": [1.0, 2.0], "center.y": [3.0, 4.0], "center.z": [0.5, 1.0], "size.x": [4.0, 0.5]}
    box |= {"size.y": [2.0, 0.6], "size.z": [1.5, 1.8], "heading": [0.3, -0.2]}
    write(base / "lidar_box", {
        time: [TIMES[1], TIMES[1]], "key.laser_object_id": ["a", "b"], "[LiDARBoxComponent].type": [1, 3],
        **{f"[LiDARBoxComponent].box.{name}": column for name, column in box.items()},
    })  # fmt: skip
    return tmp_path


def by_hand(distance: float, beam: int, column: int, ahead: float) -> list[float]:
    """A pixel of the top laser: columns run clockwise from behind; the mount turns by a quarter, and the laser back."""
    azimuth = math.pi * (1 - 2 * (column + 0.5) / 4) - math.pi / 2
    inclination = BEAMS[::-1][beam]
    flat = distance * math.cos(inclination)
    x, y, z = flat * math.cos(azimuth), flat * math.sin(azimuth), distance * math.sin(inclination)
    return [-y + 1.5 + ahead, x + 0.2, z + 2.0]


@pytest.mark.parametrize(("frame", "ahead"), [(0, -1.0), (1, 0.0)])
def test_pixels_become_points_in_the_frames_own_pose(root: Path, frame: int, ahead: float):
    points = WaymoSweeps(root)[frame]["points"]
    expected = [
        [*by_hand(20, 0, 1, ahead), math.tanh(2), 0.5],
        [*by_hand(10, 2, 3, ahead), math.tanh(0.5), 0.1],
        [4 * math.cos(0.2), 0, 4 * math.sin(0.2), 0, 0],  # the upper of two even beams; one column looks ahead
    ]
    np.testing.assert_allclose(points, expected, atol=1e-5)


def test_even_beams_are_the_middles_of_their_shares():
    found = inclinations_of(Laser(np.eye(4), (-0.4, 0.4), None), 4)
    np.testing.assert_allclose(found, [0.3, 0.1, -0.1, -0.3], atol=1e-12)


def test_angles_turn_about_x_then_y_then_z():
    half = math.pi / 2
    turned = rotations(np.array([[half, 0, 0], [0, half, 0], [0, 0, half], [half, 0, half]])) @ np.array(
        [1.0, 2.0, 3.0]
    )
    np.testing.assert_allclose(turned, [[1, -3, 2], [3, 2, -1], [-2, 1, 3], [3, 1, 2]], atol=1e-12)


def test_boxes_of_the_frame(root: Path):
    dataset = WaymoSweeps(root, labeled=True)
    assert dataset.scenes() == [SEGMENT] * 2
    assert dataset[0]["boxes"].shape == (0, 7)
    sample = dataset[1]
    expected = [[1, 3, 0.5, 4, 2, 1.5, 0.3], [2, 4, 1, 0.5, 0.6, 1.8, -0.2]]
    np.testing.assert_allclose(sample["boxes"], expected, rtol=1e-6)
    assert sample["labels"].tolist() == [0, OTHER]
    assert dataset.object_names(1) == ["Vehicle", "Sign"]


def test_what_is_missing_is_named(root: Path):
    with pytest.raises(MissingData, match="validation/lidar is not a folder; expected layout"):
        WaymoSweeps(root, split="validation")
    (root / f"training/lidar_box/{SEGMENT}.parquet").unlink()
    with pytest.raises(ValueError, match=r"lidar_box/.*\.parquet: file not found: download this component"):
        WaymoSweeps(root, labeled=True)[0]
    (root / f"training/lidar_pose/{SEGMENT}.parquet").write_text("")
    assert "lidar_pose" in WaymoSweeps(root).why_unreadable(0)
