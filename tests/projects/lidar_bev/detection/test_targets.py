"""Targets against a plain loop, and their inverse."""

import math

import numpy as np
import pytest
import torch

from ccrop.localization.gaussian_heatmaps import gaussian_radius
from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.detection.headings import HEADING_CODES, HeadingCode
from ccrop.projects.lidar_bev.detection.targets import center_targets, decoded
from ccrop.projects.lidar_bev.grid import Grid

GRID = Grid(low=(-8, -12, -3), high=(8, 12, 1), cell=0.5)  # 48 rows, 32 columns
STRIDE = 2


def random_batch(counts=(7, 0, 5), seed=0):
    """Boxes and labels per sweep, some off the grid, some without a class."""
    rng = np.random.default_rng(seed)
    boxes, labels = [], []
    for count in counts:
        middle = rng.uniform((-10, -14, -2), (10, 14, 0), (count, 3))
        sizes = rng.uniform(0.4, 5, (count, 3))
        boxes.append(np.column_stack([middle, sizes, rng.uniform(-3.1, 3.1, count)]))
        labels.append(rng.integers(-1, 3, count))
    tensors = [torch.tensor(own, dtype=torch.float32) for own in boxes]
    return tensors, [torch.from_numpy(own) for own in labels]


def plain_heatmaps(boxes, labels, min_radius):
    heatmaps = np.zeros((len(boxes), 3, 24, 16))
    for sweep, (own, classes) in enumerate(zip(boxes, labels, strict=True)):
        for box, label in zip(own.tolist(), classes.tolist(), strict=True):
            column, row = math.floor(box[0] + 8), math.floor(box[1] + 12)
            if label < 0 or not (0 <= column < 16 and 0 <= row < 24):
                continue
            radius = gaussian_radius(torch.tensor(box[3:5]), min_radius=min_radius).item()
            sigma = (2 * radius + 1) / 6
            for r in range(max(row - radius, 0), min(row + radius + 1, 24)):
                for c in range(max(column - radius, 0), min(column + radius + 1, 16)):
                    value = math.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sigma**2))
                    heatmaps[sweep, label, r, c] = max(heatmaps[sweep, label, r, c], value)
    return heatmaps


@pytest.mark.parametrize("min_radius", [1, 2])
def test_targets_are_those_of_a_plain_loop(min_radius: int):
    boxes, labels = random_batch()
    targets = center_targets(boxes, labels, GRID, STRIDE, 3, min_radius)
    np.testing.assert_allclose(targets.heatmaps.numpy(), plain_heatmaps(boxes, labels, min_radius), atol=1e-6)
    place = 0
    for sweep, (own, classes) in enumerate(zip(boxes, labels, strict=True)):
        for box, label in zip(own.tolist(), classes.tolist(), strict=True):
            x, y = box[0] + 8, box[1] + 12
            column, row = math.floor(x), math.floor(y)
            counted = label >= 0 and 0 <= column < 16 and 0 <= row < 24
            assert targets.counted[place] == counted
            if counted:
                assert targets.cells[place] == (sweep * 24 + row) * 16 + column
                assert targets.heatmaps[sweep, label, row, column] == 1
                expected = [x - column, y - row, box[2], *map(math.log, box[3:6]), math.sin(box[6]), math.cos(box[6])]
                assert targets.regression[place].tolist() == pytest.approx(expected, abs=2e-5)
            place += 1
    assert place == len(targets.counted) == 12
    assert 0 < targets.counted.sum() < 12


@pytest.mark.parametrize("heading", HEADING_CODES.values(), ids=HEADING_CODES)
def test_decoding_inverts_the_targets(heading: HeadingCode):
    boxes, labels = random_batch(seed=3)
    targets = center_targets(boxes, labels, GRID, STRIDE, 3, heading=heading)
    own = targets.counted
    found = decoded(targets.cells[own] % (24 * 16), targets.regression[own], GRID, STRIDE, heading)
    expected = torch.cat(boxes)[own]
    torch.testing.assert_close(found[:, :6], expected[:, :6], atol=1e-4, rtol=1e-5)
    assert abs(wrapped((found - expected)[:, 6].numpy())).max() < 1e-5


def test_a_batch_without_objects():
    empty = [torch.zeros(0, 7), torch.zeros(0, 7)]
    targets = center_targets(empty, [torch.zeros(0, dtype=torch.long)] * 2, GRID, STRIDE, 3)
    assert targets.heatmaps.shape == (2, 3, 24, 16)
    assert not targets.heatmaps.any()
    assert targets.regression.shape == (0, 8)
