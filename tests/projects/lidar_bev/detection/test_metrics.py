"""Figures of hand-made detections, and of KITTI's own labels."""

import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.datasets.kitti_format import Calibration, write_calibration
from ccrop.projects.lidar_bev.detection.metrics import compared, detector_metrics, has_kitti_labels, kitti_metrics
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-40, -40, -3), high=(40, 40, 1), cell=0.5)
CLASSES = ("Car", "Pedestrian")


def box(x, y=0.0, length=4.0):
    return [x, y, -1, length, 2, 2, 0]


def points_at(*numbers_and_x):
    """Points inside of boxes at x."""
    return np.concatenate([np.tile([[x, 0, -1, 0]], (number, 1)) for number, x in numbers_and_x]).astype(np.float32)


def sample(boxes, labels, *points):
    boxes = np.array(boxes, dtype=np.float32)
    cloud = points_at(*points)
    inside = [int((abs(cloud[:, 0] - each[0]) < 1).sum()) for each in boxes]
    return dict(points=cloud, boxes=boxes, labels=np.array(labels), num_points=np.array(inside))


def detections(boxes, scores, labels):
    return Detections(np.array(boxes, dtype=np.float32).reshape(-1, 7), np.array(scores), np.array(labels))


def test_perfect_detections_by_range_and_points():
    known = sample([box(10), box(20), box(33)], [0, 0, 1], (5, 10), (50, 20), (200, 33))
    perfect = detections(known["boxes"], [0.9, 0.8, 0.7], [0, 0, 1])
    metrics = detector_metrics([compared(known, perfect, GRID)], CLASSES)
    shares = {name: value for name, value in metrics.items() if "AP" in name}
    assert shares.pop("mAP_0-15m") == 1
    assert all(value == pytest.approx(1) for value in shares.values())
    assert [metrics[name] for name in ("translation", "scale", "heading", "axis_Car")] == pytest.approx([0, 0, 0, 0])


def test_front_and_back_in_exchange_leave_the_axis():
    known = sample([box(10), box(20), box(33)], [0, 0, 1], (5, 10), (50, 20), (200, 33))
    turned = known["boxes"] + np.array([0, 0, 0, 0, 0, 0, math.pi - 0.1])
    turned[2, 6] = 0.3
    metrics = detector_metrics([compared(known, detections(turned, [0.9, 0.8, 0.7], [0, 0, 1]), GRID)], CLASSES)
    expected = dict(heading_Car=math.pi - 0.1, axis_Car=0.1, heading_Pedestrian=0.3, axis_Pedestrian=0.3, axis=0.2)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_bins_hold_their_own_objects_alone():
    known = sample([box(10), box(20), box(33)], [0, 0, 0], (5, 10), (50, 20), (200, 33))
    only_near = detections([box(10), box(20, 10)], [0.9, 0.8], [0, 0])
    metrics = detector_metrics([compared(known, only_near, GRID)], CLASSES)
    assert metrics["mAP_0-15m"] == metrics["mAP_1-9points"] == 1
    assert metrics["mAP_15-30m"] == metrics["mAP_10-99points"] == metrics["mAP_30m+"] == 0
    assert 0 < metrics["mAP"] < 0.5
    assert math.isnan(metrics["AP_Pedestrian"])


def test_what_cannot_be_found_does_not_count():
    known = sample([box(10), box(20), box(50)], [0, 0, 0], (5, 10), (5, 50))  # without a point, off the grid
    metrics = detector_metrics([compared(known, detections([box(10)], [0.9], [0]), GRID)], CLASSES)
    assert metrics["AP_Car"] == 1


def test_a_van_is_no_wrong_car():
    known = sample([box(10), box(20)], [0, -1], (5, 10), (5, 20))
    both = detections([box(20.5), box(10)], [0.9, 0.8], [0, 0])
    assert detector_metrics([compared(known, both, GRID)], CLASSES)["AP_Car"] == 1
    beside = detections([box(20, 3), box(10)], [0.9, 0.8], [0, 0])
    assert detector_metrics([compared(known, beside, GRID)], CLASSES)["AP_Car"] < 0.6


def test_kittis_own_labels_reach_kittis_full_ap(lidar_data):
    dataset = KittiSweeps(lidar_data / "kitti_track0000", labeled=True)
    assert has_kitti_labels(dataset)
    found = []
    for index in range(len(dataset)):
        own = dataset.known(index)
        known = own["labels"] >= 0
        found.append(Detections(own["boxes"][known], np.ones(known.sum()), own["labels"][known]))
    metrics = kitti_metrics(dataset, range(len(dataset)), found)
    assert len(metrics) == 2 * 3 * 3
    # KITTI's AP of fewer than 40 objects ends below 1 even so
    assert metrics["AP_R40_3d_Car_hard"] == metrics["AP_R40_bev_Cyclist_hard"] == 1
    aside = [each._replace(boxes=each.boxes + np.array([0, 2, 0, 0, 0, 0, 0], np.float32)) for each in found]
    assert not any(value > 0 for value in kitti_metrics(dataset, range(len(dataset)), aside).values())


def test_a_class_with_too_few_objects_for_kittis_ap_is_said_once(tmp_path, warned):
    """50 cars, the last 38 of them partly occluded, and one cyclist."""
    line = "{} 0.00 {} 0.00 300 100 400 200 1.5 1.6 4.0 0.0 1.7 {} 0.0\n"
    cars = [line.format("Car", int(i >= 12), 6 * i + 6) for i in range(50)]
    base = tmp_path / "training"
    for folder in ("velodyne", "label_2", "calib"):
        (base / folder).mkdir(parents=True)
    np.ones((5, 4), np.float32).tofile(base / "velodyne/000000.bin")
    (base / "label_2/000000.txt").write_text("".join(cars) + line.format("Cyclist", 0, 9))
    calibration = Calibration(np.eye(3, 4), np.eye(3), np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1.0, 0, 0, 0]]))
    write_calibration(base / "calib/000000.txt", calibration)
    kitti_metrics(KittiSweeps(tmp_path, labeled=True), [0], [detections([], [], np.zeros(0, int))])
    assert len(warned) == 2
    # 12 cars count as easy and 50 as the rest: (12 - 1) / 40 is the most that perfect detections of them get
    assert (
        "AP_R40 of Car is low for lack of objects, even with perfect detections: 12 easy (at most 27.5%);" in warned[0]
    )
    assert "Cyclist" in warned[1]
    assert "1 easy (at most 0.0%), 1 moderate (at most 0.0%), 1 hard (at most 0.0%);" in warned[1]


def test_simulated_labels_all_around_are_not_kittis(simulated):
    assert not has_kitti_labels(KittiSweeps(simulated, labeled=True, in_view=False, labels="label_360"))
    assert has_kitti_labels(KittiSweeps(simulated, labeled=True))
