"""BYOL: equation 2 in plain Python."""

import math

import pytest
import torch
from methods import build, two_views

from ccrop.models.byol import byol_loss


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def by_hand(p1: list, p2: list, z1: list, z2: list) -> float:
    total = 0.0
    for predictions, targets in ((p1, z2), (p2, z1)):
        for p, z in zip(predictions, targets, strict=True):
            total += sum((a - b) ** 2 for a, b in zip(unit(p), unit(z), strict=True))
    return total / len(p1)


def vectors(seed: int) -> list[torch.Tensor]:
    return list(torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("seed", range(5))
def test_is_equation_2_in_both_directions(seed: int):
    found = byol_loss(*vectors(seed))
    assert found.item() == pytest.approx(by_hand(*(each.tolist() for each in vectors(seed))), rel=1e-5)


def test_of_known_angles():
    p = torch.eye(3)
    assert byol_loss(p, p, 2 * p, 3 * p).item() == pytest.approx(0, abs=1e-6)
    assert byol_loss(p, p, -p, -p).item() == pytest.approx(8)
    assert byol_loss(p, p, p.roll(1, 0), p).item() == pytest.approx(2)


def test_no_gradient_reaches_the_targets():
    p1, p2, z1, z2 = (each.requires_grad_() for each in vectors(0))
    byol_loss(p1, p2, z1, z2).backward()
    assert z1.grad is None
    assert z2.grad is None
    assert p1.grad.abs().sum() > 0
    assert p2.grad.abs().sum() > 0


def test_model_predicts_the_target_of_the_other_view():
    model = build("byol").eval()
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    views = two_views()
    pooled = [model.pooled(view) for view in views]
    p1, p2 = (model.predictor(model.projector(each)) for each in pooled)
    targets = [model.target["backbone"](view)[-1].mean(dim=(2, 3)) for view in views]
    z1, z2 = (model.target["projector"](each) for each in targets)
    expected = by_hand(*(each.tolist() for each in (p1, p2, z1, z2)))
    assert model(views)["loss"].item() == pytest.approx(expected, rel=1e-5)
