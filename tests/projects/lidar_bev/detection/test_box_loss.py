"""The boxes' loss against its formula in plain Python."""

import math

import pytest
import torch

from ccrop.projects.lidar_bev.detection.box_loss import at_cells, box_loss


def test_l1_loss_counts_centers_that_count():
    maps = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(2, 3, 2, 2)
    cells = torch.tensor([0, 7, 5])  # sweep 0 row 0 column 0, sweep 1 row 1 column 1, sweep 1 row 0 column 1
    assert at_cells(maps, cells).tolist() == [[0, 4, 8], [15, 19, 23], [13, 17, 21]]
    regression = torch.tensor([[1.0, 4, 8], [15, 17, 20], [99, 99, 99]])
    loss = box_loss(maps, cells, regression, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((1 + 2 + 3) / 2)
    assert box_loss(maps, cells[:0], regression[:0], torch.zeros(0, dtype=torch.bool)).item() == 0


def test_a_heading_without_a_front_is_compared_with_the_nearer_end_of_its_axis():
    values = [[0.5, math.sin(0.2), math.cos(0.2)], [1.0, math.sin(3.0), math.cos(3.0)], [2.0, 0.6, 0.8]]
    maps = torch.tensor(values).T.reshape(1, 3, 1, 3)
    targets = [[0.0, math.sin(0.3), math.cos(0.3)], [1.5, math.sin(-0.1), math.cos(-0.1)], [2.25, -1.0, 0.0]]
    weights = [1.0, 0.5, 0.0]
    expected = 0.0
    for value, target, weight in zip(values, targets, weights, strict=True):
        ends = [sum(abs(value[i] - sign * target[i]) for i in (1, 2)) for sign in (1, -1)]
        expected += abs(value[0] - target[0]) + weight * min(ends)
    arguments = maps, torch.arange(3), torch.tensor(targets), torch.ones(3, dtype=torch.bool)
    assert box_loss(*arguments, torch.tensor(weights)).item() == pytest.approx(expected / 3)
    turned = [[offset, -sine, -cosine] for offset, sine, cosine in targets]
    again = box_loss(*arguments[:2], torch.tensor(turned), arguments[3], torch.tensor(weights))
    assert again.item() == pytest.approx(expected / 3)


def test_unknown_velocities_count_nothing():
    values = torch.tensor([[0.0, 0, 0, 0, 0, 0, 2, 3, 0, 1], [0, 0, 0, 0, 0, 0, 5, 5, 0, 1]], requires_grad=True)
    maps = values.T.reshape(1, 10, 1, 2)
    regression = torch.tensor([[1.0, 0, 0, 0, 0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, math.nan, math.nan, 0, 1]])
    loss = box_loss(maps, torch.arange(2), regression, torch.ones(2, dtype=torch.bool), velocity_weight=0.5)
    assert loss.item() == pytest.approx((1 + 0.5 * (1 + 2)) / 2)
    loss.backward()
    assert values.grad[0, 6:8].tolist() == [0.25, 0.25]
    assert values.grad[1].tolist() == [0] * 10
