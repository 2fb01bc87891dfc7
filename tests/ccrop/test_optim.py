import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from timm.optim import Lars
from torch import nn

from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(4, 3)
        self.frozen = nn.Linear(3, 3).requires_grad_(False)
        self.predictor_free = nn.Linear(3, 3)  # a name that only starts alike
        self.predictor = nn.Linear(3, 3)


def build(model, lr=0.4, **settings):
    optimizer = dict(type=torch.optim.SGD, lr=lr, momentum=0.9, weight_decay=1e-4)
    config = dict(type=OptimWrapper, constructor=PredictorGroups, optimizer=optimizer) | settings
    return build_optim_wrapper(model, ConfigDict(config))


def ids(parameters):
    return {id(parameter) for parameter in parameters}


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel], ids=["bare", "wrapped"])
def test_predictor_has_a_group_of_its_own(wrap):
    model = Siamese()
    rest, predictor = build(wrap(model)).optimizer.param_groups
    assert ids(predictor["params"]) == ids(model.predictor.parameters())
    assert ids(rest["params"]) == ids([*model.backbone.parameters(), *model.predictor_free.parameters()])
    assert (predictor["fixed_lr"], rest.get("fixed_lr", False)) == (True, False)
    for group in (rest, predictor):
        assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.4, 0.9, 1e-4)


def test_model_without_predictor_has_one_group():
    model = nn.Sequential(nn.Linear(2, 2))
    (group,) = build(model).optimizer.param_groups
    assert ids(group["params"]) == ids(model.parameters())


def test_lars_leaves_biases_and_bn_to_plain_sgd():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    model.predictor = nn.Linear(3, 3)
    optimizer = dict(type=Lars, lr=0.4, momentum=0.9, weight_decay=0.1)
    paramwise = dict(fix_predictor_lr=False, decay_vectors=False)
    wrapper = build(model, optimizer=optimizer, paramwise_cfg=paramwise)
    decays = {id(p): group["weight_decay"] for group in wrapper.optimizer.param_groups for p in group["params"]}
    assert all(decays[id(p)] == (0.1 if p.ndim > 1 else 0) for p in model.parameters())
    assert not any(group.get("fixed_lr") for group in wrapper.optimizer.param_groups)

    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    wrapper.optimizer.step()
    for old, p in zip(before, model.parameters(), strict=True):
        step = torch.ones_like(p)
        if p.ndim > 1:  # You et al., 2017: lr x 0.001 |w| / (|g| + decay |w|) x (g + decay w)
            adapted = 0.001 * old.norm() / (p.grad.norm() + 0.1 * old.norm())
            step = adapted * (p.grad + 0.1 * old)
        torch.testing.assert_close(p.detach(), old - 0.4 * step)


def test_config_is_left_as_it_was():
    config = ConfigDict(type=OptimWrapper, optimizer=dict(type=torch.optim.SGD, lr=0.1))
    PredictorGroups(config, None)(Siamese())
    assert config == ConfigDict(type=OptimWrapper, optimizer=dict(type=torch.optim.SGD, lr=0.1))


def rates(wrapper, scheduler, steps):
    """Learning rates of all groups before every step."""
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in wrapper.optimizer.param_groups])
        wrapper.optimizer.step()
        scheduler.step()
    return [list(each) for each in zip(*seen, strict=True)]


def cosine(lr, lr_min, steps):
    return [lr_min + (lr - lr_min) * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps + 1)]


@pytest.mark.parametrize("lr_min", [0, 0.01])
def test_predictor_keeps_its_rate_while_the_rest_follows_the_cosine(lr_min):
    wrapper = build(Siamese())
    rest, predictor = rates(wrapper, CosineLR(wrapper.optimizer, T_max=20, eta_min=lr_min), 21)
    assert rest == pytest.approx(cosine(0.4, lr_min, 20), abs=1e-12)
    assert predictor == [0.4] * 21


def test_predictor_s_rate_can_be_decayed_too():
    wrapper = build(Siamese(), paramwise_cfg=dict(fix_predictor_lr=False))
    rest, predictor = rates(wrapper, CosineLR(wrapper.optimizer, T_max=20, eta_min=0.01), 21)
    assert rest == predictor == pytest.approx(cosine(0.4, 0.01, 20), abs=1e-12)


def test_rate_goes_on_after_a_resume():
    wrapper = build(Siamese())
    scheduler = CosineLR(wrapper.optimizer, T_max=20)
    rates(wrapper, scheduler, 8)
    resumed = build(Siamese())
    resumed_scheduler = CosineLR(resumed.optimizer, T_max=20)
    resumed.load_state_dict(wrapper.state_dict())
    resumed_scheduler.load_state_dict(scheduler.state_dict())
    rest, predictor = rates(resumed, resumed_scheduler, 13)
    assert rest == pytest.approx(cosine(0.4, 0, 20)[8:], abs=1e-12)
    assert predictor == [0.4] * 13


def test_a_misspelled_parameterwise_setting_is_refused():
    with pytest.raises(ValueError, match=r"takes fix_predictor_lr and decay_vectors, not fix_predictor$"):
        PredictorGroups(dict(type="OptimWrapper", optimizer=dict(type="SGD")), dict(fix_predictor=True))
