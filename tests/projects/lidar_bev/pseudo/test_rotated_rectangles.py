import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.pseudo.rotated_rectangles import NEAREST, STEPS, fit_rectangles


def l_shape(angle: float, length: float, width: float, rng: np.random.Generator) -> np.ndarray:
    """Points on two adjacent sides of a rectangle around (20, -7), 2 cm off them at most."""
    along = np.column_stack([rng.uniform(-length / 2, length / 2, 60), np.full(60, -width / 2)])
    across = np.column_stack([np.full(30, -length / 2), rng.uniform(-width / 2, width / 2, 30)])
    corners = [[-length / 2, -width / 2], [length / 2, -width / 2], [-length / 2, width / 2]]
    points = np.concatenate([along, across, corners]) + rng.uniform(-0.02, 0.02, (93, 2))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return points @ turn + [20, -7]


@pytest.mark.parametrize("degrees", [0, 11, 37, 62, 86])
def test_two_sides_give_the_rectangle(degrees: float):
    points = l_shape(math.radians(degrees), 4.2, 1.7, np.random.default_rng(degrees))
    found = fit_rectangles(points, np.zeros(len(points), np.int64), 1)
    assert math.degrees(found.angles[0]) == pytest.approx(degrees, abs=2.1)
    assert (found.high - found.low)[0].tolist() == pytest.approx([4.2, 1.7], abs=0.2)
    cos, sin = math.cos(found.angles[0]), math.sin(found.angles[0])
    u, v = ((found.low + found.high) / 2)[0]
    assert [cos * u - sin * v, sin * u + cos * v] == pytest.approx([20, -7], abs=0.15)


def test_clusters_at_once_are_those_one_by_one_by_the_formula():
    rng = np.random.default_rng(0)
    sizes = [5, 1, 40, 12]
    clusters = rng.permutation(np.repeat([0, 1, 3, 4], sizes))  # 2 has no point
    points = rng.normal(0, 2, (len(clusters), 2)) + clusters[:, None]
    found = fit_rectangles(points, clusters, 5)
    for cluster in (0, 1, 3, 4):
        best = -math.inf
        for step in range(STEPS):
            angle = step * math.pi / 2 / STEPS
            cos, sin = math.cos(angle), math.sin(angle)
            u = [cos * x + sin * y for x, y in points[clusters == cluster]]
            v = [cos * y - sin * x for x, y in points[clusters == cluster]]
            sides = [min(max(each) - value, value - min(each)) for each in (u, v) for value in each]
            closeness = sum(1 / max(min(pair), NEAREST) for pair in zip(sides[: len(u)], sides[len(u) :], strict=True))
            if closeness > best + 1e-9:
                best, expected = closeness, (angle, min(u), min(v), max(u), max(v))
        assert (found.angles[cluster], *found.low[cluster], *found.high[cluster]) == pytest.approx(expected)
    assert not found.high[2].any()
    assert fit_rectangles(np.zeros((0, 2)), np.zeros(0, np.int64), 3).angles.tolist() == [0, 0, 0]
