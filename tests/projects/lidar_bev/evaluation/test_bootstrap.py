"""AP of resampled sweeps against that of the same sweeps copied out, and intervals of differences by hand."""

import numpy as np
import pytest

from ccrop.experiments.paired_bootstrap import draws_of
from ccrop.projects.lidar_bev.evaluation.bootstrap import resampled, resampled_precision
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth, center_metrics, match

NUMBER = 12


def random_sweeps(seed: int) -> tuple[list[Truth], list[Detections]]:
    """Sweeps of two classes: some objects missed, some found twice, some that do not count, and false detections."""
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(NUMBER):
        count = rng.integers(0, 9)
        boxes = np.column_stack([rng.uniform(-30, 30, (count, 3)), np.ones((count, 4))])
        false = np.column_stack([rng.uniform(-30, 30, (3, 3)), np.ones((3, 4))])
        noisy = boxes + rng.normal(0, 0.8, boxes.shape) * [1, 1, 0, 0, 0, 0, 0]
        found = np.concatenate([noisy[rng.random(count) < 0.7], noisy[:2], false])
        truths.append(Truth(boxes, rng.integers(0, 2, count), rng.random(count) < 0.8))
        labels = rng.integers(0, 2, len(found))
        detections.append(Detections(found, rng.random(len(found)), labels, rng.random(len(found)) < 0.9))
    return truths, detections


@pytest.mark.parametrize("seed", range(4))
def test_a_resample_is_the_metric_of_its_sweeps_copied_out(seed: int):
    truths, detections = random_sweeps(seed)
    draws = np.random.default_rng(seed).multinomial(NUMBER, np.full(NUMBER, 1 / NUMBER), size=8)
    assert (draws > 1).any()
    assert (draws == 0).any()
    for label in (0, 1):
        found = resampled_precision(truths, detections, label, draws)
        expected = []
        for draw in draws:
            places = [place for place, times in enumerate(draw) for _ in range(times)]
            copied = [truths[place] for place in places], [detections[place] for place in places]
            expected.append(center_metrics(*copied, label).mean_ap)
        assert found == pytest.approx(expected, abs=1e-12)
        assert len(set(found)) > 4


def test_every_sweep_once_is_the_metric_itself():
    truths, detections = random_sweeps(5)
    draws = draws_of(NUMBER, resamples=20)
    assert (draws[0] == 1).all()
    assert draws.shape == (21, NUMBER)
    assert (draws.sum(axis=1) == NUMBER).all()
    for label in (0, 1):
        found = resampled_precision(truths, detections, label, draws)
        assert found[0] == center_metrics(truths, detections, label).mean_ap
        assert found[1:].std() > 0


def test_without_objects_or_detections():
    truths, detections = random_sweeps(6)
    none = [each._replace(counted=np.zeros(len(each.boxes), bool)) for each in truths]
    draws = draws_of(NUMBER, resamples=3)
    assert np.isnan(resampled_precision(none, detections, 0, draws)).all()
    silent = [Detections(np.zeros((0, 7)), np.zeros(0), np.zeros(0, int)) for _ in truths]
    assert resampled_precision(truths, silent, 0, draws).tolist() == [0, 0, 0, 0]


def test_the_spread_is_that_of_the_mean_over_sweeps():
    """Of one object per sweep, some are found and nothing is false: AP follows the fraction found, a binomial."""
    there = np.array([[5.0, 5, 0, 1, 1, 1, 0]])
    truths = [Truth(there, np.array([0])) for _ in range(200)]
    boxes = [there if number < 120 else there[:0] for number in range(200)]
    detections = [Detections(each, np.full(len(each), 0.9), np.zeros(len(each), int)) for each in boxes]
    drawn = resampled(match(truths, detections, 0, 2.0), draws_of(200, 1000))[1:]
    # precision is 1 up to the fraction found, and the recalls above 0.1 count
    assert drawn.mean() == pytest.approx((0.6 - 0.1) / 0.9, abs=0.01)
    assert drawn.std() == pytest.approx((0.6 * 0.4 / 200) ** 0.5 / 0.9, rel=0.1)
