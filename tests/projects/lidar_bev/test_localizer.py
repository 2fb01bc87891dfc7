"""Boxes around what stands in a sweep."""

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters, spread_order

GRID = Grid(low=(-24, -24, -3), high=(24, 24, 1), cell=0.5)
ROAD = -1.7


def block(x: float, y: float, dx: float, dy: float, height: float = 1.5) -> np.ndarray:
    """The sides and the roof of a box on the ground, a point every 0.25 m."""
    axes = [np.arange(-side / 2, side / 2 + 0.01, 0.25) for side in (dx, dy)]
    points = np.stack(np.meshgrid(*axes, np.arange(0.1, height, 0.25), indexing="ij"), axis=-1).reshape(-1, 3)
    shell = (abs(points[:, 0]) > dx / 2 - 0.2) | (abs(points[:, 1]) > dy / 2 - 0.2) | (points[:, 2] > height - 0.3)
    return points[shell] + [x, y, ROAD]


def sweep(*blocks: np.ndarray) -> torch.Tensor:
    x, y = np.meshgrid(np.arange(-23.9, 24, 0.4), np.arange(-23.9, 24, 0.4))
    points = np.concatenate([np.stack([x, y, np.full_like(x, ROAD)], axis=-1).reshape(-1, 3), *blocks])
    return torch.from_numpy(np.column_stack([points, np.ones(len(points))])).float()


CARS = [(10, 4), (10, 8), (-12, -6), (3, -15), (-14, 14)]
PEOPLE = [(6, -2), (-8, 9), (18, 18)]
WALL = block(-20, 0, 0.3, 30, 2.0)
STREET = sweep(*(block(*place, 4.2, 1.8) for place in CARS), *(block(*place, 0.5, 0.5, 1.7) for place in PEOPLE), WALL)


def meters(boxes: torch.Tensor) -> torch.Tensor:
    return boxes[:, :4] * 48 - 24


def test_objects_are_found_and_the_wall_is_not():
    boxes, counts = BevClusters(GRID, behind=0.0)([STREET])
    assert boxes.shape == (1, 64, 5)
    assert counts.tolist() == [8]
    found = meters(boxes[0, :8])
    middle = (found[:, :2] + found[:, 2:]) / 2
    for place in CARS + PEOPLE:
        assert (middle - torch.tensor(place)).norm(dim=1).min() < 0.6
    sides = (found[:, 2:] - found[:, :2]).sort(dim=1).values
    assert ((sides >= 0.8 - 1e-4) & (sides <= 6)).all()
    assert (sides[:, 1] > 3).sum() == len(CARS)
    assert (boxes[0, :8, 4].diff() <= 0).all()
    assert boxes[0, 8:].abs().sum() == 0


def test_long_boxes_move_away_from_the_sensor():
    (plain, counts), (moved, same) = BevClusters(GRID, behind=0.0)([STREET]), BevClusters(GRID, behind=0.7)([STREET])
    assert torch.equal(counts, same)
    for before, after in zip(meters(plain[0, :8]), meters(moved[0, :8]), strict=True):
        middle, sides = (before[:2] + before[2:]) / 2, before[2:] - before[:2]
        expected = middle + (0.7 * middle / middle.norm() if sides.max() > 1.5 else 0)
        torch.testing.assert_close((after[:2] + after[2:]) / 2, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(after[2:] - after[:2], sides, atol=1e-4, rtol=0)


def test_boxes_at_the_edge_of_the_grid_keep_an_area():
    edge = sweep(block(23.6, 5, 2.0, 1.8), block(-5, -23.7, 4.2, 1.8))
    boxes, counts = BevClusters(GRID, behind=5.0)([edge])
    assert counts.item() >= 2
    found = boxes[0, : counts.item()]
    assert ((found >= 0) & (found <= 1)).all()
    assert (found[:, 2:4] > found[:, :2]).all()


def test_without_the_rule_the_wall_is_found():
    _, counts = BevClusters(GRID, wall_length=100, max_side=100)([STREET])
    assert counts.item() > 8
    boxes, counts = BevClusters(GRID, wall_length=100, max_side=3.0)([STREET])
    found = meters(boxes[0, : counts.item()])
    assert (found[:, 2:] - found[:, :2]).max() <= 3


def test_a_batch_is_its_sweeps_one_by_one_and_an_empty_one_has_none():
    localizer = BevClusters(GRID)
    empty = STREET.new_zeros(0, 4)
    other = sweep(block(5, 5, 4.2, 1.8))
    boxes, counts = localizer([STREET, empty, other])
    assert counts.tolist() == [8, 0, 1]
    assert boxes[1].abs().sum() == 0
    for number, each in enumerate((STREET, empty, other)):
        own, count = localizer([each])
        assert count[0] == counts[number]
        torch.testing.assert_close(own[0], boxes[number])


def test_few_boxes_spread_over_the_sweep():
    crowd = [(10 + 1.5 * i, 10 + 1.5 * j) for i in range(5) for j in range(5)]
    alone = [(-14, 9), (16, -12)]
    crowded = sweep(*(block(*place, 0.5, 0.5, 1.7) for place in crowd), *(block(*p, 0.5, 0.5, 1.2) for p in alone))
    boxes, counts = BevClusters(GRID, max_boxes=4, spacing=8.0)([crowded])
    middle = (meters(boxes[0])[:, :2] + meters(boxes[0])[:, 2:]) / 2
    assert counts.item() == 4
    for place in alone:
        assert (middle - torch.tensor(place)).norm(dim=1).min() < 0.6


def test_the_order_of_boxes_in_plain_python():
    torch.manual_seed(0)
    centers = 20 * torch.rand(3, 40, 2)
    scores = torch.randint(0, 9, (3, 40)) / 10
    scores[1, 25:] = -1
    order = spread_order(centers, scores, 5.0)
    for image in range(3):
        keys = []
        for i in range(40):
            better = [
                j
                for j in range(40)
                if (centers[image, i] - centers[image, j]).norm() < 5
                and (scores[image, j] > scores[image, i] or (scores[image, j] == scores[image, i] and j < i))
            ]
            turn = len(better) if scores[image, i] >= 0 else 40
            keys.append((turn, -scores[image, i].item(), i))
        assert order[image].tolist() == [i for _, _, i in sorted(keys)]


def test_a_learned_heatmap_takes_part_by_its_share():
    localizer = BevClusters(GRID)
    features = torch.zeros(1, 2, 48, 48)
    features[0, 0, 30:34, 33:37] = 5  # the cars at (10, 4) and (10, 8) in cells of 1 m
    plain, blended = localizer.heatmap([STREET]), localizer.heatmap([STREET], features, 0.5)
    car, person = (..., slice(56, 58), slice(64, 72)), (..., slice(64, 67), slice(30, 33))
    before, after = plain[car].max() / plain[person].max(), blended[car].max() / blended[person].max()
    assert after > 1.2 * before
    assert torch.equal(localizer.heatmap([STREET], features, 0.0), plain)
    assert plain.max() == blended.max() == 1


def test_places_do_not_depend_on_the_size_of_cells():
    fine = Grid(GRID.low, GRID.high, 0.25)
    (boxes, counts), (same, number) = BevClusters(GRID)([STREET]), BevClusters(fine, stride=2)([STREET])
    assert torch.equal(counts, number)
    torch.testing.assert_close(boxes, same)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(min_side=0), "min_side"),
        (dict(min_side=5, max_side=4), "min_side"),
        (dict(sigma=-1), "sigma and spacing"),
        (dict(stride=5), "stride 5"),
    ],
)
def test_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        BevClusters(GRID, **arguments)
