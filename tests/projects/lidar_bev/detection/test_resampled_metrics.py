"""Metrics of resampled sweeps against those of the sweeps copied out."""

import numpy as np
import pytest

from ccrop.experiments.paired_bootstrap import draws_of
from ccrop.projects.lidar_bev.datasets import OTHER
from ccrop.projects.lidar_bev.detection.metrics import Compared, compared, detector_metrics
from ccrop.projects.lidar_bev.detection.resampled_metrics import resampled_metrics
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-32, -32, -3), high=(32, 32, 3), cell=1)
CLASSES = ("Car", "Person")


def random_sweep(rng: np.random.Generator) -> Compared:
    count = rng.integers(1, 8)
    boxes = np.column_stack([rng.uniform(-30, 30, (count, 2)), np.zeros(count), np.ones((count, 4))])
    labels = rng.choice([0, 0, 0, 1, OTHER], count)
    noisy = boxes[rng.random(count) < 0.7] + [*rng.normal(0, 0.5, 2), 0, 0, 0, 0, 0]
    noisy = np.concatenate([noisy, np.column_stack([rng.uniform(-30, 30, (2, 3)), np.ones((2, 4))])])
    found = Detections(noisy, rng.random(len(noisy)), rng.integers(0, 2, len(noisy)))
    sample = dict(points=boxes[:, :4], boxes=boxes, labels=labels, num_points=rng.integers(0, 9, count))
    return compared(sample, found, GRID)


def test_each_resample_has_the_metrics_of_its_sweeps():
    rng = np.random.default_rng(1)
    sweeps = [random_sweep(rng) for _ in range(9)]
    found = [each.found for each in sweeps]
    drawn = resampled_metrics(None, range(9), sweeps, found, CLASSES, resamples=12, seed=3)
    assert set(drawn) == {"mAP", "AP_Car", "AP_Person"}
    draws = draws_of(9, 12, 3)
    assert (draws[0] == 1).all()
    for number, draw in enumerate(draws):
        expected = detector_metrics(
            [each for each, times in zip(sweeps, draw, strict=True) for _ in range(times)], CLASSES
        )
        assert {name: values[number] for name, values in drawn.items()} == pytest.approx(
            {name: expected[name] for name in drawn}, nan_ok=True
        )
    assert len(set(drawn["mAP"])) > 8


def test_a_class_without_objects_is_left_out_of_the_mean():
    rng = np.random.default_rng(2)
    sweeps = [random_sweep(rng) for _ in range(4)]
    for each in sweeps:
        each.truth.counted[each.truth.labels == 1] = False
    drawn = resampled_metrics(None, range(4), sweeps, [each.found for each in sweeps], CLASSES, resamples=3)
    assert np.isnan(drawn["AP_Person"]).all()
    assert drawn["mAP"].tolist() == drawn["AP_Car"].tolist()
