"""Files of detections in sweeps: lines that are known, and boxes that come back."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets.kitti_format import read_calibration, read_objects
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.prediction_files import SweepDetections, csv_file, kitti_files, nuscenes_file

BOX = [10.0, 2, -1, 4, 2, 1.5, 0.3]
CAMERA_AHEAD = """P2: 700 0 600 0 0 700 180 0 0 0 1 0
R0_rect: 1 0 0 0 1 0 0 0 1
Tr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3
"""


def detections(*boxes: list[float], score: float = 0.9871, label: int = 0) -> Detections:
    number = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 7), np.full(number, score, np.float32), np.full(number, label)
    )


def test_a_row_a_box(tmp_path: Path):
    with csv_file(tmp_path, ("Car", "Van")) as add:
        add(SweepDetections("a/1.bin", detections(BOX, label=1)))
        add(SweepDetections("a/2.bin", detections()))
    (row,) = csv.DictReader((tmp_path / "predictions.csv").open())
    assert row == dict(file="a/1.bin", score="0.9871", x="10.000", y="2.000", z="-1.000", dx="4.000", dy="2.000",
                       dz="1.500", heading="0.300") | {"class": "Van"}  # fmt: skip


def test_a_sweep_without_calibration_gets_one(tmp_path: Path):
    behind = [-10.0, 2, -1, 4, 2, 1.5, 3.0]
    with kitti_files(tmp_path, ("Car",)) as add:
        add(SweepDetections("a/1.bin", detections(BOX, behind)))
        add(SweepDetections("a/2.bin", detections()))
    file = tmp_path / "kitti/label_2/a_1.txt"
    # height, width, length; the bottom's middle as -y, -z + height / 2, x; rotation_y = -heading - pi / 2
    alpha, rotation_y = -0.3 - math.pi / 2 - math.atan2(-2, 10), -0.3 - math.pi / 2
    expected = (
        f"Car -1.00 -1 {alpha:.2f} -1.00 -1.00 -1.00 -1.00 1.50 2.00 4.00 -2.00 1.75 10.00 {rotation_y:.2f} 0.9871"
    )
    assert file.read_text().splitlines()[0] == expected
    read = read_objects(file, read_calibration(tmp_path / "kitti/calib/a_1.txt"))
    np.testing.assert_allclose(read.boxes, [BOX, behind], atol=0.0051)
    assert (tmp_path / "kitti/label_2/a_2.txt").read_text() == ""


def test_a_frame_of_kittis_has_what_its_camera_sees(tmp_path: Path):
    (tmp_path / "calib.txt").write_text(CAMERA_AHEAD)
    calibration = read_calibration(tmp_path / "calib.txt")
    turned = [10.0, 2, -1, 4, 2, 1.5, 0]
    with kitti_files(tmp_path, ("Car",)) as add:
        add(SweepDetections("000007.bin", detections(turned, [-10.0, 2, -1, 4, 2, 1.5, 0]), calibration, (1200, 360)))
    assert not (tmp_path / "kitti/calib").exists()
    read = read_objects(tmp_path / "kitti/label_2/000007.txt", calibration)
    np.testing.assert_allclose(read.boxes, [turned], atol=0.0051)
    near, far = 8 - 0.3, 12 - 0.3  # meters before the camera
    edges = [600 - 700 * 3 / near, 180 + 700 * 0.15 / far, 600 - 700 * 1 / far, 180 + 700 * 1.65 / near]
    np.testing.assert_allclose(read.image_boxes[0], edges, atol=0.01)
    assert read.truncated[0] == 0


def test_nuscenes_boxes_are_in_the_global_frame(tmp_path: Path):
    to_global = np.array([[0.0, -1, 0, 100], [1, 0, 0, 200], [0, 0, 1, 1], [0, 0, 0, 1]])  # a quarter turn to the left
    with nuscenes_file(tmp_path, ("pedestrian", "Van")) as add:
        add(SweepDetections("x.bin", detections(BOX, label=1), sample="token", to_global=to_global))
        add(SweepDetections("y.bin", detections(*[BOX] * 600), sample="other", to_global=to_global))
    content = json.loads((tmp_path / "nuscenes.json").read_text())
    (row,) = content["results"]["token"]
    np.testing.assert_allclose(row.pop("translation"), [98, 210, 0], atol=1e-4)
    np.testing.assert_allclose(row.pop("rotation"), [math.cos(0.15 + math.pi / 4), 0, 0, math.sin(0.15 + math.pi / 4)])
    assert row == dict(
        sample_token="token", size=[2, 4, 1.5], velocity=[0, 0], detection_name="car",
        detection_score=pytest.approx(0.9871), attribute_name="",
    )  # fmt: skip
    assert len(content["results"]["other"]) == 500  # more the devkit refuses
    assert content["meta"] == dict(
        use_camera=False, use_lidar=True, use_radar=False, use_map=False, use_external=False, frame="global"
    )


def test_nuscenes_file_of_other_sweeps_says_its_frame(tmp_path: Path):
    with nuscenes_file(tmp_path, ("Cyclist",)) as add:
        add(SweepDetections("a.bin", detections(BOX)))
    content = json.loads((tmp_path / "nuscenes.json").read_text())
    assert content["meta"]["frame"] == "lidar"
    assert content["results"]["a.bin"][0]["translation"] == [10, 2, -1]
    assert content["results"]["a.bin"][0]["detection_name"] == "bicycle"
    with (
        pytest.raises(ValueError, match="--to nuscenes: its detection task has no class Tram, only car, "),
        nuscenes_file(tmp_path, ("Car", "Tram")),
    ):
        pass
