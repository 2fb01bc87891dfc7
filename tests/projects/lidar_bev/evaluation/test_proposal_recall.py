"""Recall of proposals on cases made by hand."""

import numpy as np
import pytest

from ccrop.projects.lidar_bev.evaluation.proposal_recall import proposal_recall

AREA = (-50.0, -50.0, 50.0, 50.0)


def boxes(*middles: tuple[float, float]) -> np.ndarray:
    return np.array([(*middle, 0, 4, 2, 1.5, 0) for middle in middles]).reshape(-1, 7)


def found_in(centers, middles, points=None, area=AREA):
    objects = boxes(*middles)
    points = np.full(len(objects), 100) if points is None else np.array(points)
    centers = np.array(centers, dtype=float).reshape(-1, 2)
    return proposal_recall([centers], [objects], [np.arange(len(objects))], [points], area)


def test_one_and_two_meters():
    found = found_in([(10.5, 0), (20, 1.5), (0, 30)], [(10, 0), (20, 0), (30, 0)])
    assert found.recall().tolist() == pytest.approx([1 / 3, 2 / 3])
    assert found.found.tolist() == [[True, True], [False, True], [False, False]]
    assert found.distances.tolist() == [10, 20, 30]
    assert found.recall(found.labels == 1).tolist() == [0, 1]
    assert np.isnan(found.recall(found.labels == 7)).all()
    assert found.precision == pytest.approx(2 / 3)
    assert found.boxes == 3


def test_a_box_finds_one_object():
    assert found_in([(10, 0)], [(9.8, 0), (10.2, 0)]).recall().tolist() == [0.5, 0.5]
    assert found_in([(10, 0), (10, 1)], [(9.8, 0), (10.2, 0)]).recall().tolist() == [0.5, 1]


def test_objects_with_few_points_or_outside_do_not_count_but_their_boxes_are_no_mistakes():
    found = found_in([(10, 0), (60, 0)], [(10, 0), (60, 0), (20, 0)], [19, 500, 20])
    assert found.labels.tolist() == [2]
    assert found.recall().tolist() == [0, 0]
    assert found.precision == 1


def test_sweeps_without_boxes_or_objects():
    none = boxes()
    nothing = np.zeros(0, dtype=int)
    one = boxes((5, 0))
    found = proposal_recall(
        [np.zeros((0, 2)), np.zeros((3, 2))], [one, none], [np.array([1]), nothing], [np.array([50]), nothing], AREA
    )
    assert found.recall().tolist() == [0, 0]
    assert found.precision == 0
    assert found.boxes == 1.5
    with pytest.raises(ValueError, match="one entry per sweep"):
        proposal_recall([], [one], [], [], AREA)
