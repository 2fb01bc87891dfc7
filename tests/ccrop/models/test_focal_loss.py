"""The focal loss of center heatmaps, re-derived in plain Python."""

import math

import pytest
import torch

from ccrop.models import gaussian_focal_loss


def test_it_follows_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 2, 3, 4, generator=generator)
    heatmaps = torch.rand(2, 2, 3, 4, generator=generator)
    heatmaps[0, 1, 2, 3] = heatmaps[1, 0, 0, 0] = heatmaps[1, 1, 1, 1] = 1
    total = 0.0
    for x, y in zip(logits.flatten().tolist(), heatmaps.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        total -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert gaussian_focal_loss(logits, heatmaps).item() == pytest.approx(total / 3, rel=1e-5)


def test_it_is_finite_without_centers_and_with_confident_logits():
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = gaussian_focal_loss(logits, torch.zeros(1, 1, 1, 2))
    assert loss.item() == pytest.approx(200)
    loss.backward()
    assert logits.grad.isfinite().all()
