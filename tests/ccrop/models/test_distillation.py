"""The backbone is kept near its start, which does not move."""

import copy
import math

import pytest
import torch
from methods import METHODS, TwoLevels, build, two_views

from ccrop.models import StartDistillation


def with_distillation(method: str, **settings):
    return build(method, distillation=dict(type=StartDistillation, **settings))


def cosine(a: list[float], b: list[float]) -> float:
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_the_loss_is_the_mean_cosine_of_every_cell():
    torch.manual_seed(0)
    backbone = TwoLevels().eval()
    distillation = StartDistillation(backbone, level=0, weight=0.5)
    torch.nn.init.normal_(distillation.projector.weight)
    views = two_views(2)
    moved = [torch.randn(2, 8, 8, 8) for _ in views]
    for view, maps in zip(views, moved, strict=True):
        distillation.compare(view, (maps, None))
    weight, bias = distillation.projector.weight[:, :, 0, 0].tolist(), distillation.projector.bias.tolist()
    cosines = []
    for view, maps in zip(views, moved, strict=True):
        start = backbone(view)[0]
        for image in range(2):
            for y in range(8):
                for x in range(8):
                    now, then = maps[image, :, y, x].tolist(), start[image, :, y, x].tolist()
                    projected = [
                        sum(w * v for w, v in zip(row, now, strict=True)) + b
                        for row, b in zip(weight, bias, strict=True)
                    ]
                    cosines.append(cosine(projected, then) if any(then) else 0.0)
    assert distillation.loss().item() == pytest.approx(-0.5 * sum(cosines) / len(cosines), rel=1e-4)


def test_at_first_nothing_is_pulled():
    backbone = TwoLevels().eval()
    distillation = StartDistillation(backbone, level=-1)
    images = two_views(2)[0]
    distillation.compare(images, backbone(images))
    loss = distillation.loss()
    loss.backward()
    assert loss.item() == pytest.approx(-1, abs=1e-3)
    assert all(parameter.grad.abs().max() < 1e-3 for parameter in backbone.parameters())


def test_a_map_that_the_backbone_does_not_give_is_an_error():
    with pytest.raises(ValueError, match=r"at map -3, but the backbone gives 2: set model\.distillation\.level"):
        StartDistillation(TwoLevels(), level=-3)


def test_what_was_compared_counts_once():
    distillation = StartDistillation(TwoLevels())
    maps = TwoLevels()(two_views(2)[0])
    distillation.compare(two_views(2)[0], maps)
    first = distillation.loss()
    distillation.compare(two_views(2)[0], maps)
    assert torch.equal(distillation.loss(), first)


@pytest.mark.parametrize("method", METHODS)
def test_any_method_learns_with_it_and_its_start_stays(method: str):
    model = with_distillation(method)
    model.before_epoch(0, 2)
    start = copy.deepcopy(model.distillation.start.state_dict())
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
    for step in range(3):
        losses = model(two_views(seed=step))
        assert -1 <= losses["loss_start"] <= 1
        optimizer.zero_grad()
        (losses["loss"] + losses["loss_start"]).backward()
        optimizer.step()
    assert all(torch.equal(tensor, start[name]) for name, tensor in model.distillation.start.state_dict().items())
    for now, then in zip(model.backbone.parameters(), model.distillation.start.parameters(), strict=True):
        assert not torch.equal(now, then)


def test_its_gradient_pulls_the_backbone_back():
    torch.manual_seed(0)
    backbone = TwoLevels().eval()
    distillation = StartDistillation(backbone, level=-1).requires_grad_(False)
    with torch.no_grad():
        for stage in backbone.stages:
            stage[0].weight.add_(0.2 * torch.randn_like(stage[0].weight))
    images = two_views()[0]
    optimizer, losses = torch.optim.SGD(backbone.parameters(), lr=0.5), []
    for _ in range(30):
        distillation.compare(images, backbone(images))
        losses.append(distillation.loss())
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.1


def test_its_start_is_what_the_backbone_was_initialized_with():
    model = with_distillation("byol")
    model.init_weights()
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(model.distillation.start.state_dict()[name], tensor)


def test_evaluation_compares_nothing():
    model = with_distillation("simclr").eval()
    model(images=two_views()[0], mode="tensor")
    model.train()
    losses = model(two_views())
    alone = with_distillation("simclr")
    assert torch.equal(losses["loss_start"], alone(two_views())["loss_start"])
    assert not model.distillation.start.training
