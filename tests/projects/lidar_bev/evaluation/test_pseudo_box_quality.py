import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.evaluation.pseudo_box_quality import pseudo_box_quality
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-20, -20, -3), high=(20, 20, 2), cell=0.5)


def boxes_at(*places: tuple[float, float]) -> np.ndarray:
    return np.array([[x, y, 0, 4, 2, 2, 0.0] for x, y in places])


def test_recall_by_class_and_precision():
    objects = boxes_at((0, 0), (10, 0), (0, 10), (30, 0), (-10, 0))  # the fourth lies off the grid
    sample = dict(
        boxes=objects.astype(np.float32),
        labels=np.array([0, 0, 1, 0, 0]),
        num_points=np.array([20, 90, 25, 90, 19]),  # the fifth has too few points
        points=np.array([[0.0, 0, 0], [10, 0, 0], [-10, 0, 0], [15, 15, 0]], np.float32),
    )
    # IoU 1; 3 of 4 m shared, 3 / 5; nothing; beside all; one that holds no point, which does not count
    pseudo = boxes_at((0, 0), (11, 0), (-10, 0), (15, 15), (5, -15))
    nothing = dict(sample, boxes=np.zeros((0, 7), np.float32), labels=np.zeros(0, int), num_points=np.zeros(0, int))
    quality = pseudo_box_quality([(sample, pseudo), (nothing, np.zeros((0, 7)))], ("Car", "Van", "Truck"), GRID)
    assert quality["recall_0.5_Car"] == pytest.approx(2 / 2)
    assert quality["recall_0.3_Van"] == 0
    assert math.isnan(quality["recall_0.5_Truck"])
    assert quality["precision_0.5"] == pytest.approx(3 / 4)
    shifted = pseudo + np.array([0, 1.0, 0, 0, 0, 0, 0])  # 1 of 2 m shared: 4 / 12; and 3 x 1 of 16 - 3
    sample["points"] = np.concatenate([shifted[:, :3], sample["points"]]).astype(np.float32)
    quality = pseudo_box_quality([(sample, shifted)], ("Car", "Van"), GRID)
    assert quality["recall_0.3_Car"] == pytest.approx(1 / 2)
    assert quality["recall_0.5_Car"] == 0
    assert quality["precision_0.3"] == pytest.approx(2 / 5)
