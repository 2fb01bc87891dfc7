import math

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.boxes import points_in_boxes
from ccrop.projects.lidar_bev.evaluation.polygons import (
    bev_intersections,
    bev_ious,
    convex_intersections,
    ious_3d,
    paired_ious_3d,
)


def box(x, y, dx, dy, heading=0.0, z=0.0, dz=1.0):
    return [x, y, z, dx, dy, dz, heading]


def random_boxes(rng, number):
    return np.column_stack(
        [rng.uniform(-4, 4, (number, 3)), rng.uniform(0.5, 5, (number, 3)), rng.uniform(-7, 7, number)]
    )


@pytest.mark.parametrize(
    ("first", "second", "area"),
    [
        (box(0, 0, 4, 2), box(0, 0, 4, 2), 8),
        (box(0, 0, 4, 2), box(1, 0.5, 4, 2), 3 * 1.5),
        (box(0, 0, 4, 2), box(0, 0, 4, 2, math.pi / 2), 4),
        (box(0, 0, 4, 2), box(0, 0, 4, 2, math.pi), 8),
        (box(0, 0, 2, 2), box(0, 0, 2, 2, math.pi / 4), 8 * (math.sqrt(2) - 1)),  # a regular octagon
        (box(0, 0, 4, 2), box(4, 0, 4, 2), 0),  # side by side
        (box(0, 0, 4, 2), box(0, 2, 4, 2), 0),
        (box(0, 0, 4, 2), box(4, 2, 4, 2), 0),  # corner at corner
        (box(0, 0, 10, 10), box(1, 1, 2, 1, 0.3), 2),  # one in the other
        (box(0, 0, 2, 2), box(1.5, 1.5, 2, 2, math.pi / 4), (math.sqrt(2) - 1) ** 2 / 2),  # a corner cut off
        (box(0, 0, 4, 2), box(50, 0, 4, 2), 0),
        (box(0, 0, 4, 2), box(0, 0, 0, 0), 0),
    ],
)
def test_areas_by_hand(first, second, area):
    for own, other in ((first, second), (second, first)):
        assert bev_intersections(np.array([own]), np.array([other])).item() == pytest.approx(area, abs=1e-9)


def test_areas_by_counting_points():
    rng = np.random.default_rng(0)
    boxes, others = random_boxes(rng, 6), random_boxes(rng, 5)
    spacing = 0.02
    axis = np.arange(-8, 8, spacing) + spacing / 2
    points = np.stack([*np.meshgrid(axis, axis), np.zeros((len(axis), len(axis)))], axis=-1).reshape(-1, 3)
    inside = []
    for each in (boxes, others):
        flat = each * [1, 1, 0, 1, 1, 1, 1]
        mask = np.zeros((len(points), len(each)))
        mask[points_in_boxes(points, flat)] = 1
        inside.append(mask)
    counted = inside[0].T @ inside[1] * spacing**2
    np.testing.assert_allclose(bev_intersections(boxes, others), counted, atol=0.12)
    assert (counted > 1).sum() > 5


def test_turning_and_moving_both_changes_nothing():
    rng = np.random.default_rng(1)
    boxes, others = random_boxes(rng, 20), random_boxes(rng, 20)
    before = bev_ious(boxes, others)
    angle, shift = 0.7, np.array([60.0, -30])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    for each in (boxes, others):
        each[:, :2] = each[:, :2] @ turn + shift
        each[:, 6] += angle
    np.testing.assert_allclose(bev_ious(boxes, others), before, atol=1e-9)
    np.testing.assert_allclose(bev_ious(others, boxes), before.T, atol=1e-9)
    assert 0 < before.max() < 1


def test_a_box_overlaps_itself_wholly():
    boxes = random_boxes(np.random.default_rng(2), 30).astype(np.float32)
    np.testing.assert_allclose(np.diag(bev_ious(boxes, boxes)), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(ious_3d(boxes, boxes)), 1, atol=1e-5)


def test_volumes_by_hand():
    first = np.array([box(0, 0, 4, 2, dz=2)])
    above = np.array([box(0, 0, 4, 2, z=1.5, dz=2), box(0, 0, 4, 2, z=2, dz=2), box(2, 0, 4, 2, z=1, dz=2)])
    assert ious_3d(first, above)[0] == pytest.approx([0.25 / 1.75, 0, 0.25 / 1.75])
    assert bev_ious(first, above)[0] == pytest.approx([1, 1, 1 / 3])


def test_pairs_are_the_diagonal_of_all():
    rng = np.random.default_rng(5)
    boxes, others = random_boxes(rng, 40), random_boxes(rng, 40)
    others[20:, :3] = boxes[20:, :3] + rng.normal(0, 0.3, (20, 3))
    found = paired_ious_3d(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
    np.testing.assert_allclose(found, np.diag(ious_3d(boxes, others)), atol=1e-9)
    assert (found[20:] > 0).any()
    assert paired_ious_3d(torch.zeros(0, 7), torch.zeros(0, 7)).shape == (0,)


def test_polygons_of_other_shapes():
    triangle = torch.tensor([[(0.0, 0), (4, 0), (0, 4)]])
    square = torch.tensor([[(1.0, 1), (3, 1), (3, 3), (1, 3)]])
    assert convex_intersections(triangle, square).item() == pytest.approx(2)
    assert convex_intersections(square, triangle).item() == pytest.approx(2)


def test_no_boxes():
    some, none = np.ones((3, 7)), np.ones((0, 7))
    assert bev_ious(some, none).shape == (3, 0)
    assert ious_3d(none, some).shape == (0, 3)
