"""Predicted IoUs: the loss by hand, and what becomes of scores."""

import math

import pytest
import torch

from ccrop.projects.lidar_bev.detection import CenterPoint
from ccrop.projects.lidar_bev.detection.decoding import decode
from ccrop.projects.lidar_bev.detection.iou_rescoring import iou_loss, rescored
from ccrop.projects.lidar_bev.detection.targets import center_targets
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder

GRID = Grid(low=(-8, -8, -3), high=(8, 8, 1), cell=0.5)


def test_the_loss_compares_with_the_iou_of_the_box_that_is_found():
    """The first is found a meter too far along its length of 4 m, the second twice as high, the third is no class."""
    boxes = torch.tensor([[0.3, 0.2, 0, 4, 2, 1.5, 0], [5.2, 5.1, 0, 1, 1, 1, 0.7], [-5.0, 0, 0, 1, 1, 1, 0]])
    targets = center_targets([boxes], [torch.tensor([0, 0, -1])], GRID, 1, 1)
    regression = torch.zeros(1, 8, 32, 32)
    flat = regression.view(8, -1)
    for place, change in ((0, (0, 2.0)), (1, (5, math.log(2)))):  # two cells of 0.5 m
        values = targets.regression[place].clone()
        values[change[0]] += change[1]
        flat[:, targets.cells[place]] = values
    ious = torch.zeros(1, 1, 32, 32, requires_grad=True)
    loss = iou_loss(ious, regression.requires_grad_(), targets, boxes, GRID, 1)
    first, second = 3 / 5, 1 / 2
    assert loss.item() == pytest.approx((abs(2 * first - 1) + abs(2 * second - 1)) / 2, abs=1e-5)
    loss.backward()
    assert regression.grad is None
    assert ious.grad.flatten()[targets.cells[0]].item() == pytest.approx(-0.5)


def test_scores_with_ious():
    scores, ious = torch.tensor([0.81, 0.5, 0.9]), torch.tensor([-0.5, 1.0, -1.2])
    expected = [0.81**0.6 * 0.25**0.4, 0.5**0.6, 0.0]
    assert rescored(scores, ious, 0.4).tolist() == pytest.approx(expected)


def test_peaks_are_ordered_by_their_new_scores():
    heatmaps, ious = torch.zeros(1, 2, 32, 32), torch.zeros(1, 1, 32, 32)
    regression = torch.zeros(1, 8, 32, 32)
    for label, row, score, iou, height in ((0, 3, 0.9, -0.9, 1.0), (1, 9, 0.5, 0.9, 2.0), (0, 20, 0.4, 0.0, 3.0)):
        heatmaps[0, label, row, 5], ious[0, 0, row, 5], regression[0, 2, row, 5] = score, iou, height
    found = decode(heatmaps, regression, GRID, 1, (1.0, 1.0), top=3, ious=ious, iou_power=0.5)
    expected = [math.sqrt(0.5 * 0.95), math.sqrt(0.4 * 0.5), math.sqrt(0.9 * 0.05)]
    assert found.scores[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert (found.boxes[0, :, 2].tolist(), found.labels[0].tolist()) == ([2, 3, 1], [1, 0, 0])


def test_a_detector_learns_them_where_they_count():
    points, boxes = [torch.rand(200, 4) * 8 - 4], [torch.tensor([[1.0, 1, 0, 2, 1, 1, 0]])]
    for power in (0.0, 0.5):
        model = CenterPoint(PillarEncoder(GRID, 4, "small"), ("a",), (1.0,), channels=8, iou_power=power)
        losses = model(points, boxes, [torch.tensor([0])], mode="loss")
        assert ("loss_iou" in losses) == any("ious" in name for name, _ in model.named_parameters()) == (power > 0)
    with pytest.raises(ValueError, match=r"iou_power must be in \[0, 1\), got 1"):
        CenterPoint(PillarEncoder(GRID, 4, "small"), ("a",), (1.0,), iou_power=1)
