"""SimSiam without one part: exactly that part is missing."""

import pytest
import torch
from methods import TwoLevels, two_views
from torch import nn

from ccrop.evaluation import effective_rank
from ccrop.models import SimSiam
from ccrop.models.ablation import PARTS, SimSiamAblation, without_stop_gradient
from ccrop.models.simsiam import simsiam_loss


def build(without: str | None = None) -> SimSiam:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        settings = dict(backbone=dict(type=TwoLevels), channels=32, bottleneck=8)
        return SimSiamAblation(without, **settings) if without else SimSiam(**settings)


def test_loss_is_the_same_and_its_gradient_reaches_both_sides():
    vectors = list(torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0)))
    p1, p2, z1, z2 = (each.requires_grad_() for each in vectors)
    loss = without_stop_gradient(p1, p2, z1, z2)
    assert loss.item() == pytest.approx(simsiam_loss(p1, p2, z1, z2).item())
    loss.backward()
    assert all(each.grad.abs().sum() > 0 for each in vectors)


@pytest.mark.parametrize("without", PARTS)
def test_one_part_is_missing(without: str):
    model, whole = build(without), build()
    missing = dict(
        stop_gradient=model.criterion is without_stop_gradient,
        predictor=isinstance(model.predictor, nn.Identity),
        predictor_training=any(not parameter.requires_grad for parameter in model.parameters()),
        bn=not any(isinstance(layer, nn.BatchNorm1d) for layer in model.projector),
    )
    assert [part for part, absent in missing.items() if absent] == [without]
    for name, value in model.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def train(model: SimSiam, steps: int = 80) -> float:
    """The last loss."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    for step in range(steps):
        loss = model(two_views(seed=step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_without_stop_gradient_the_embedding_loses_its_rank():
    whole, ablated = build(), build("stop_gradient")
    train(whole)
    assert train(ablated) < -0.97
    assert effective_rank(ablated.embeddings) < effective_rank(whole.embeddings)


def test_a_fixed_predictor_stays_as_it_is_and_the_loss_stays_higher():
    whole, ablated = build(), build("predictor_training")
    before = [parameter.clone() for parameter in ablated.predictor.parameters()]
    assert train(ablated) > train(whole)
    assert all(torch.equal(old, new) for old, new in zip(before, ablated.predictor.parameters(), strict=True))


def test_refuses_other_parts():
    with pytest.raises(ValueError, match="without must be one of stop_gradient, predictor, predictor_training, bn"):
        build("momentum")
