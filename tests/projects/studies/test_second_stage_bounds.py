"""Bounds of a second stage on hand-made detections."""

import numpy as np
import pytest

from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth
from ccrop.projects.studies.lidar_second_stage.bounds import bounds, match_overlap, rows_of, scored_by_overlap

BOX = np.array([0.0, 0.0, 0.0, 4.0, 2.0, 1.5, 0.0])


def at(x: float, y: float) -> np.ndarray:
    return BOX + np.array([x, y, 0, 0, 0, 0, 0])


@pytest.fixture
def sweep() -> tuple[list[Truth], list[Detections]]:
    """Two cars; the most confident detection is false, one is right but for 1.5 m, one exact and unsure."""
    truth = Truth(np.stack([at(0, 0), at(20, 0)]), np.zeros(2, np.int64), np.ones(2, bool))
    boxes = np.stack([at(-20, 0), at(1.5, 0), at(20, 0)])
    scores, labels = np.array([0.9, 0.8, 0.1]), np.zeros(3, np.int64)
    return [truth], [Detections(boxes, scores, labels, np.ones(3, bool))]


def test_perfect_scores_and_boxes(sweep):
    truths, found = sweep
    every = rows_of(truths, bounds(truths, found), ["car"])
    rows = {row["second stage"]: row for row in every if row["class"] == "car"}
    first, scores = rows["first stage"], rows["score: true positive or not"]
    # of the first stage at 2 m, precision is 1/2 at a recall of 1/2 and 2/3 at 1, and linear between
    recall = np.linspace(0.11, 1, 90)
    precision = np.interp(recall, [0, 0.5, 1], [0, 1 / 2, 2 / 3])
    precision = np.where(recall < 0.5, 0.5 * recall / 0.5, precision)
    assert first["AP_2m"] == pytest.approx(100 * ((precision - 0.1) / 0.9).clip(0).mean(), abs=0.06)
    assert scores["AP_2m"] > 99  # false ones rank last and lower the precision at the last recall only
    assert scores["AP_1m"] < 50  # half of the objects have no detection within 1 m, whatever it scores
    assert rows["boxes"]["AP_0.5m"] == first["AP_2m"]
    assert rows["boxes, and score: true positive or not"]["AP"] > 99
    assert first["recall_1m"] == 50
    assert first["objects"] == 2


def test_scores_by_overlap_and_ap_by_it(sweep):
    truths, found = sweep
    # 1.5 m off along the length of 4 m: (2.5 * 2) / (2 * 8 - 5)
    assert scored_by_overlap(truths, found)[0].scores == pytest.approx([0, 5 / 11, 1])
    matches = match_overlap(truths, found, 0, 0.5)
    assert matches.right.tolist() == [False, False, True]
    assert match_overlap(truths, found, 0, 0.4).right.tolist() == [False, True, True]
    # a van does not count: what lies in it is neither right nor false
    uncounted = [truths[0]._replace(counted=np.array([True, False]))]
    assert match_overlap(uncounted, found, 0, 0.5).right.tolist() == [False, False]


def test_the_mean_is_compared_with_the_first_stage(sweep):
    rows = [row for row in rows_of(sweep[0], bounds(*sweep), ["car"]) if row["class"] == "mean"]
    assert rows[0]["difference"] == 0
    assert rows[1]["difference"] == pytest.approx(rows[1]["AP"] - rows[0]["AP"], abs=0.11)
    assert rows[1]["low"] == rows[1]["high"] == rows[1]["difference"]  # a single sweep: all resamples are the same
