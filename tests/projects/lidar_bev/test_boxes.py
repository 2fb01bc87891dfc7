import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import corners, footprints, num_points_in_boxes, points_in_boxes, wrapped


def random_boxes(rng, number, reach=20):
    middles = rng.uniform(-reach, reach, (number, 3)) * [1, 1, 0.05]
    return np.column_stack([middles, rng.uniform(0.3, 8, (number, 3)), rng.uniform(-7, 7, number)])


def is_inside(point, box):
    """One point, one box, turned back by hand."""
    x, y, z, dx, dy, dz, heading = box
    along = (point[0] - x) * math.cos(heading) + (point[1] - y) * math.sin(heading)
    across = -(point[0] - x) * math.sin(heading) + (point[1] - y) * math.cos(heading)
    return abs(along) <= dx / 2 and abs(across) <= dy / 2 and abs(point[2] - z) <= dz / 2


def test_angles_are_wrapped_into_one_turn():
    assert wrapped(np.array([0, math.pi, -math.pi, 1.5 * math.pi, -7])).tolist() == pytest.approx(
        [0, -math.pi, -math.pi, -0.5 * math.pi, -7 + 2 * math.pi]
    )


def test_corners_of_a_box_by_hand():
    # 4 m long, 2 m wide, 1.5 m high, its front to the left
    box = np.array([[10.0, 5.0, -1.0, 4.0, 2.0, 1.5, math.pi / 2]])
    np.testing.assert_allclose(footprints(box)[0], [(9, 7), (9, 3), (11, 3), (11, 7)], atol=1e-12)
    np.testing.assert_allclose(corners(box)[0, :4], [(9, 7, -1.75), (9, 3, -1.75), (11, 3, -1.75), (11, 7, -1.75)])
    np.testing.assert_allclose(corners(box)[0, 4:, 2], -0.25)
    np.testing.assert_allclose(corners(box)[0, 4:, :2], footprints(box)[0])


def test_footprints_run_counter_clockwise_and_have_the_boxes_area():
    boxes = random_boxes(np.random.default_rng(0), 50)
    x, y = np.moveaxis(footprints(boxes), -1, 0)
    area = (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1)).sum(axis=1) / 2
    np.testing.assert_allclose(area, boxes[:, 3] * boxes[:, 4])


def test_points_in_boxes_are_those_of_the_loop():
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 40)
    points = rng.uniform(-22, 22, (3000, 4)) * [1, 1, 0.1, 1]
    expected = {(p, b) for p in range(3000) for b in range(40) if is_inside(points[p], boxes[b])}
    found = list(zip(*(each.tolist() for each in points_in_boxes(points, boxes)), strict=True))
    assert len(found) == len(set(found)) > 300
    assert set(found) == expected
    counts = [sum(b == box for _, b in expected) for box in range(40)]
    assert num_points_in_boxes(points, boxes).tolist() == counts


def test_a_box_holds_its_corners():
    boxes = random_boxes(np.random.default_rng(2), 30)
    for box, own in zip(boxes, corners(boxes * [1, 1, 1, 0.999, 0.999, 0.999, 1]), strict=True):
        assert num_points_in_boxes(own, box[None]).tolist() == [8]


def test_no_points_and_no_boxes():
    assert num_points_in_boxes(np.zeros((0, 4)), np.ones((2, 7))).tolist() == [0, 0]
    assert num_points_in_boxes(np.zeros((5, 4)), np.ones((0, 7))).tolist() == []
