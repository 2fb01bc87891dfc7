"""Peaks and suppression against plain loops, and boxes from the targets' own maps."""

import math

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.detection.decoding import decode, peaks, unsuppressed
from ccrop.projects.lidar_bev.detection.targets import ANGLE, center_targets, num_channels
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-8, -12, -3), high=(8, 12, 1), cell=0.5)
STRIDE = 2


def test_peaks_are_higher_than_their_neighbors():
    heatmaps = torch.rand(2, 2, 9, 7, generator=torch.Generator().manual_seed(1))
    found = peaks(heatmaps)
    for n, c, row, column in np.ndindex(*heatmaps.shape):
        around = heatmaps[n, c, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        value = heatmaps[n, c, row, column]
        assert found[n, c, row, column] == (value if value == around.max() else 0)


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_that_of_a_loop(seed: int):
    rng = np.random.default_rng(seed)
    centers, labels = rng.uniform(0, 12, (2, 60, 2)), rng.integers(0, 3, (2, 60))
    present, distances = rng.random((2, 60)) < 0.9, np.array([0.5, 1.5, 4.0])
    kept = unsuppressed(*map(torch.from_numpy, (centers, labels, present, distances)))
    for sweep in range(2):
        expected: list[int] = []
        for i in range(60):
            near = [
                j
                for j in expected
                if labels[sweep, i] == labels[sweep, j]
                and np.hypot(*(centers[sweep, i] - centers[sweep, j])) <= distances[labels[sweep, i]]
            ]
            if present[sweep, i] and not near:
                expected.append(i)
        assert np.flatnonzero(kept[sweep]).tolist() == expected
    assert kept.sum() < present.sum()


def test_a_chain_ends_with_the_one_that_nobody_left_suppresses():
    centers = torch.tensor([[[0.0, 0], [1, 0], [2, 0], [3, 0]]])
    one = torch.zeros(1, 4, dtype=torch.long)
    kept = unsuppressed(centers, one, torch.ones(1, 4, dtype=torch.bool), torch.tensor([1.0]))
    assert kept.tolist() == [[True, False, True, False]]


def maps_of(boxes, labels):
    """The maps of a head that has learned its targets by heart."""
    targets = center_targets(boxes, labels, GRID, STRIDE, 3)
    (rows, columns), channels = GRID.map_shape(STRIDE), num_channels(ANGLE)
    regression = torch.zeros(len(boxes) * rows * columns, channels)
    regression[targets.cells[targets.counted]] = targets.regression[targets.counted]
    return targets.heatmaps, regression.view(len(boxes), rows, columns, channels).permute(0, 3, 1, 2)


def test_boxes_come_back_from_their_targets():
    boxes = [
        torch.tensor([[1.3, 2.6, -1, 4, 1.8, 1.5, 0.4], [-4.1, 2.6, -0.5, 0.6, 0.7, 1.8, -3.0]]),
        torch.tensor([[7.9, -11.9, 0.2, 1.8, 0.6, 1.7, 2.0]]),
    ]
    labels = [torch.tensor([0, 1]), torch.tensor([2])]
    found = decode(*maps_of(boxes, labels), GRID, STRIDE, (2.0, 0.5, 0.8), min_score=0.99)
    assert found.kept.sum(dim=1).tolist() == [2, 1]
    for sweep in range(2):
        kept = found.kept[sweep]
        order = found.labels[sweep, kept].argsort()
        torch.testing.assert_close(found.boxes[sweep, kept][order], boxes[sweep], atol=1e-5, rtol=1e-5)
        assert found.labels[sweep, kept][order].tolist() == labels[sweep].tolist()
        assert (found.scores[sweep, kept] == 1).all()


def test_the_surest_peaks_of_all_classes_are_taken():
    heatmaps = torch.zeros(1, 2, 24, 16)
    heatmaps[0, 0, 3, 3], heatmaps[0, 1, 3, 3], heatmaps[0, 1, 9, 9], heatmaps[0, 0, 20, 2] = 0.9, 0.8, 0.7, 0.1
    found = decode(heatmaps, torch.zeros(1, 8, 24, 16), GRID, STRIDE, (1.0, 1.0), min_score=0.2, top=6)
    assert found.kept.tolist() == [[True, True, True, False, False, False]]
    assert found.scores[0, :3].tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert found.labels[0, :3].tolist() == [0, 1, 1]


def test_boxes_of_groups_come_back_with_their_velocities():
    """Two classes in one cell, in groups of their own: each has its own box."""
    box = torch.tensor([[1.3, 2.6, -1, 4, 1.8, 1.5, 0.4], [1.4, 2.5, -0.5, 0.6, 0.7, 1.8, -3.0]])
    labels, groups = torch.tensor([2, 0]), torch.tensor([1, 0, 0])
    velocities = torch.tensor([[1.5, -2.0], [0.0, 0.5]])
    targets = center_targets([box], [labels], GRID, STRIDE, 3, groups=groups, velocities=[velocities])
    rows, columns = GRID.map_shape(STRIDE)
    cell = math.floor(2.6 + 12) * columns + math.floor(1.3 + 8)
    assert targets.cells.tolist() == [cell, rows * columns + cell]
    maps = torch.zeros(2 * rows * columns, num_channels(ANGLE, velocity=True))
    maps[targets.cells] = targets.regression
    regression = maps.view(1, 2, rows, columns, -1).permute(0, 1, 4, 2, 3).reshape(1, -1, rows, columns)
    of_groups = dict(groups=groups, num_groups=2)
    found = decode(targets.heatmaps, regression, GRID, STRIDE, (2.0, 2.0, 2.0), min_score=0.99, **of_groups)
    order = found.labels[0, found.kept[0]].argsort(descending=True)
    torch.testing.assert_close(found.boxes[0, found.kept[0]][order], box, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.velocities[0, found.kept[0]][order], velocities)
