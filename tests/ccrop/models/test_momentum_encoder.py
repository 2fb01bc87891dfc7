"""A target network: how it starts, how it follows, and its momentum over a run."""

import math

import pytest
import torch
from methods import build
from torch import nn

from ccrop.backbones import ResNetCIFAR
from ccrop.models import BYOL
from ccrop.models.momentum_encoder import cosine_momentum
from ccrop.models.siamese import average


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.0, 0.996), (0.5, 0.998), (1.0, 1.0), (1 / 3, 1 - 0.004 * (math.cos(math.pi / 3) + 1) / 2)],
)
def test_momentum_rises_to_one_by_a_cosine(progress: float, expected: float):
    assert cosine_momentum(0.996, progress) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.996, 1.0])
def test_weights_follow_and_running_statistics_do_not(momentum: float):
    model = build("byol")
    before = {name: value.clone() for name, value in model.target.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
        for module in model.backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.add_(3)
    model.follow(momentum)
    online = model.state_dict()
    weights = {name for name, _ in model.target.named_parameters()}
    for name, value in model.target.state_dict().items():
        expected = momentum * before[name] + (1 - momentum) * online[name] if name in weights else before[name]
        torch.testing.assert_close(value, expected, msg=name)


@pytest.mark.parametrize(
    ("name", "progress", "expected"), [("byol", 0.5, 0.95), ("moco-v3", 1.0, 1.0), ("moco-v2", 0.5, 0.9)]
)
def test_momentum_of_a_step(name: str, progress: float, expected: float):
    model = build(name)
    with torch.no_grad():
        model.backbone.network.stages[0][0].weight.fill_(1)
        model.target["backbone"].network.stages[0][0].weight.fill_(0)
    model.after_step(progress)
    weight = model.target["backbone"].network.stages[0][0].weight
    torch.testing.assert_close(weight, torch.full_like(weight, 1 - expected))


def test_target_starts_as_the_online_network_also_after_initialization():
    model = BYOL(dict(type=ResNetCIFAR, depth=18, base_channels=4, stem_channels=4), channels=8, out_channels=4)
    model.init_weights()
    online = model.state_dict()
    for name, value in model.target.state_dict().items():
        assert torch.equal(value, online[name]), name


def test_targets_come_from_the_target_and_have_no_gradient():
    model = build("byol").eval()
    view = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        for parameter in model.target.parameters():
            parameter.mul_(0.5)
    found = model.targets(view, 0, average)
    assert not found.requires_grad
    torch.testing.assert_close(found, model.target["projector"](average(model.target["backbone"](view))))
    assert not torch.allclose(found, model.online(view, 0, average))


@pytest.mark.parametrize("momentum", [-0.1, 1.5])
def test_refuses_a_momentum_that_is_none(momentum: float):
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\]"):
        build("byol", momentum=momentum)
