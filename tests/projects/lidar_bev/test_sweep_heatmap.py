"""Heatmaps of sweeps, re-derived cell by cell."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import ndimage

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.sweep_heatmap import (
    RING,
    CellStatistics,
    cells_above_ground,
    geometric_heatmap,
    learned_heatmap,
    opened,
    ranges,
    smoothed,
    walls,
)

GRID = Grid(low=(-16, -24, -3), high=(16, 24, 1), cell=0.5)  # 96 rows, 64 columns


def ground(slope: float = 0.0) -> np.ndarray:
    """A point in the middle of every cell, at -1.7 m below the sensor, rising ahead."""
    x, y = np.meshgrid(np.arange(-15.75, 16, 0.5), np.arange(-23.75, 24, 0.5))
    return np.stack([x, y, -1.7 + slope * x, 0 * x], axis=-1).reshape(-1, 4).astype(np.float32)


def column_of_points(x: float, y: float, low: float, high: float, number: int) -> np.ndarray:
    z = np.linspace(low, high, number)
    return np.stack([0 * z + x, 0 * z + y, z, 0 * z], axis=-1).astype(np.float32)


def cell_of(x: float, y: float) -> tuple[int, int]:
    return int((y + 24) / 0.5), int((x + 16) / 0.5)


@pytest.mark.parametrize("slope", [0.0, 0.08])
def test_what_stands_on_level_and_sloping_ground(slope: float):
    base = -1.7 + slope * 3.25
    person = column_of_points(3.25, 4.25, base + 0.4, base + 1.75, 20)
    roof = column_of_points(-6.25, 0.25, 3.5, 3.9, 5)  # 5 m above the ground
    kerb = column_of_points(8.25, 8.25, -1.7 + slope * 8.25 + 0.1, -1.7 + slope * 8.25 + 0.15, 9)
    far = column_of_points(40, 0, 0, 1, 9)
    sweep = torch.from_numpy(np.concatenate([ground(slope), person, roof, kerb, far]))
    cells = cells_above_ground([sweep, sweep[:1]], GRID)
    row, column = cell_of(3.25, 4.25)
    assert cells.points[0, row, column] == 20
    assert cells.height[0, row, column].item() == pytest.approx(1.75, abs=0.01)
    others = cells.points[0].clone()
    others[row, column] = 0
    assert others.sum() == 0
    assert cells.points[1].sum() == 0


def test_a_car_does_not_become_ground_and_a_house_without_ground_stands_on_its_own_foot():
    x, y = np.meshgrid(np.arange(0.25, 2.2, 0.5), np.arange(4.25, 8.2, 0.5))
    roof = np.stack([x, y, np.full_like(x, -0.2), 0 * x], axis=-1).reshape(-1, 4).astype(np.float32)
    floor = ground()
    under = ((floor[:, :1] == x.ravel()) & (floor[:, 1:2] == y.ravel())).any(axis=1)
    cells = cells_above_ground([torch.from_numpy(np.concatenate([floor[~under], roof]))], GRID)
    inside = cells.height[0, 56:64, 32:36]
    np.testing.assert_allclose(inside.numpy(), 1.5, atol=1e-5)
    alone = cells_above_ground([torch.from_numpy(column_of_points(0.25, 0.25, -1, 1, 21))], GRID)
    assert alone.points.sum() == 18  # all but those less than 0.3 m above the lowest


def test_opening_is_the_largest_of_the_smallest():
    torch.manual_seed(0)
    lowest = torch.rand(2, 9, 11).where(torch.rand(2, 9, 11) < 0.6, torch.inf)
    result = opened(lowest, 3)
    for image in range(2):
        smallest = ndimage.minimum_filter(lowest[image].numpy(), 3, mode="constant", cval=math.inf)
        known = np.where(np.isfinite(smallest), smallest, -math.inf)
        expected = ndimage.maximum_filter(known, 3, mode="constant", cval=-math.inf)
        np.testing.assert_array_equal(result[image].numpy(), expected)


def test_the_geometric_heatmap_by_hand():
    torch.manual_seed(1)
    count = torch.randint(0, 9, (2, 96, 64)).float()
    height = (3 * torch.rand(2, 96, 64)).where(count > 0, 0.0)
    heatmap = geometric_heatmap(CellStatistics(count, height), GRID)
    for image, row, column in [(0, 3, 5), (0, 48, 32), (1, 90, 60), (1, 47, 40)]:
        r = math.hypot(-16 + (column + 0.5) * 0.5, -24 + (row + 0.5) * 0.5)
        n, h = count[image, row, column].item(), height[image, row, column].item()
        expected = min(h / 1.5, 1) * (1 - math.exp(-n * max(r / 20, 0.25) ** 2 / 4))
        assert heatmap[image, row, column].item() == pytest.approx(expected, abs=1e-6)
    assert ((heatmap == 0) == (count == 0)).all()


def test_far_objects_do_not_vanish():
    near, far = cell_of(6.25, 0.25), cell_of(12.6, 0.25)
    r = ranges(GRID)
    count = torch.zeros(1, 96, 64)
    count[(0, *near)], count[(0, *far)] = 16, 16 * (r[near] / r[far]) ** 2  # as a surface returns them
    heatmap = geometric_heatmap(CellStatistics(count, 1.0 * (count > 0)), GRID)
    assert heatmap[(0, *near)].item() == pytest.approx(heatmap[(0, *far)].item(), rel=1e-5)


def test_ranges_are_those_of_the_cells():
    assert ranges(GRID)[cell_of(3.3, -4.2)].item() == pytest.approx(math.hypot(3.25, -4.25))


def test_the_learned_heatmap_by_hand():
    torch.manual_seed(2)
    grid = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=1.0)
    features = torch.randn(2, 5, 16, 16)
    stands = torch.rand(2, 16, 16) < 0.4
    heatmap = learned_heatmap(features, CellStatistics(1.0 * stands, 1.0 * stands), grid)
    for image in range(2):
        rows, columns = np.nonzero(stands[image].numpy())
        own = features[image].numpy()[:, rows, columns].T
        response = np.linalg.norm(own - own.mean(axis=0), axis=1)
        r = np.hypot(columns + 0.5 - 8, rows + 0.5 - 8)
        ring = (r / RING).astype(int)
        for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
            expected = min(1, response[number] / (2 * response[ring == ring[number]].mean()))
            assert heatmap[image, row, column].item() == pytest.approx(expected, abs=1e-5)
        assert (heatmap[image][~stands[image]] == 0).all()


def test_a_learned_heatmap_without_signal_is_zero():
    nothing = CellStatistics(torch.zeros(1, 96, 64), torch.zeros(1, 96, 64))
    assert learned_heatmap(torch.randn(1, 3, 48, 32), nothing, GRID).abs().sum() == 0
    everything = CellStatistics(torch.ones(1, 96, 64), torch.ones(1, 96, 64))
    assert learned_heatmap(torch.ones(1, 3, 48, 32), everything, GRID).abs().sum() == 0


def test_smoothing_is_gaussian():
    torch.manual_seed(3)
    heatmap = torch.rand(2, 20, 30)
    expected = ndimage.gaussian_filter(heatmap.numpy(), (0, 1.3, 1.3), mode="constant", radius=(0, 4, 4))
    np.testing.assert_allclose(smoothed(heatmap, 1.3).numpy(), expected, atol=1e-5)
    assert smoothed(heatmap, 0) is heatmap


def drawn(*polylines: tuple[tuple[float, float], ...], width: float = 0.5) -> torch.Tensor:
    """1 in cells less than half the width away from a line through points in meters."""
    x, y = np.meshgrid(np.arange(-15.75, 16, 0.5), np.arange(-23.75, 24, 0.5))
    result = np.zeros(x.shape, dtype=bool)
    for line in polylines:
        for (x0, y0), (x1, y1) in pairwise(line):
            length = math.hypot(x1 - x0, y1 - y0)
            along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length
            across = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / length
            result |= (along >= 0) & (along <= length) & (abs(across) <= width / 2)
    return torch.from_numpy(result).float()[None]


@pytest.mark.parametrize("angle", [0.0, 0.3, 0.8, 1.57])
def test_walls_are_long_and_thin_in_any_direction(angle: float):
    ahead = np.array([math.cos(angle), math.sin(angle)])
    whole, half = (tuple(-6 * ahead), tuple(6 * ahead)), (tuple(-2 * ahead), tuple(2 * ahead))
    wall, side_of_a_car, truck = drawn(whole, width=0.8), drawn(half, width=0.8), drawn(whole, width=2.6)
    assert torch.equal(walls(wall, GRID, thickness=1.2), wall > 0)
    assert not walls(torch.cat([side_of_a_car, truck]), GRID, thickness=1.2).any()


def test_corners_are_walls_and_what_stands_apart_is_none():
    corner = drawn(((-12.1, -12.1), (-12.1, 3.1), (4.1, 3.1)), width=0.6)
    person = torch.zeros_like(corner)
    person[(0, *cell_of(5.25, -6.25))] = 1
    found = walls(torch.cat([corner.maximum(person), person]), GRID)
    assert torch.equal(found, torch.cat([corner > 0, torch.zeros_like(corner) > 0]))
