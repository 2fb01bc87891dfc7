"""Losses against their formulas in plain Python."""

import math

import pytest
import torch

from projects.lidar_bev.detection.losses import at_cells, center_l1_loss, gaussian_focal_loss


def test_focal_loss_by_its_formula():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 2, 3, 4, generator=generator)
    heatmaps = torch.rand(2, 2, 3, 4, generator=generator)
    heatmaps[0, 1, 2, 3] = heatmaps[1, 0, 0, 0] = heatmaps[1, 1, 1, 1] = 1
    total = 0.0
    for x, y in zip(logits.flatten().tolist(), heatmaps.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        total -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert gaussian_focal_loss(logits, heatmaps).item() == pytest.approx(total / 3, rel=1e-5)


def test_focal_loss_without_centers_and_with_sure_logits_is_finite():
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = gaussian_focal_loss(logits, torch.zeros(1, 1, 1, 2))
    assert loss.item() == pytest.approx(200)
    loss.backward()
    assert logits.grad.isfinite().all()


def test_l1_loss_counts_centers_that_count():
    maps = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(2, 3, 2, 2)
    cells = torch.tensor([0, 7, 5])  # sweep 0 row 0 column 0, sweep 1 row 1 column 1, sweep 1 row 0 column 1
    assert at_cells(maps, cells).tolist() == [[0, 4, 8], [15, 19, 23], [13, 17, 21]]
    regression = torch.tensor([[1.0, 4, 8], [15, 17, 20], [99, 99, 99]])
    loss = center_l1_loss(maps, cells, regression, torch.tensor([True, True, False]))
    assert loss.item() == pytest.approx((1 + 2 + 3) / 2)
    assert center_l1_loss(maps, cells[:0], regression[:0], torch.zeros(0, dtype=torch.bool)).item() == 0
