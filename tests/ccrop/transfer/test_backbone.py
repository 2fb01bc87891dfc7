"""Every weight of a pretrained backbone finds its place, or none is loaded."""

import pytest
import torch
from torch import nn

from ccrop.transfer import RANDOM, BackboneInitHook, backbone_weights, load_weights
from ccrop.transfer.backbone import load_heads


class Runner:
    """As much of a runner as the hook sees."""

    def __init__(self, iteration: int = 0) -> None:
        self.iter = iteration
        self.model = nn.ModuleDict(dict(backbone=nn.Linear(2, 3)))


def save(file, **tensors) -> str:
    torch.save(dict(state_dict=tensors), file)
    return str(file)


@pytest.fixture
def checkpoint(tmp_path) -> str:
    weights = {"backbone.weight": torch.ones(3, 2), "backbone.bias": torch.ones(3), "head.bias": torch.zeros(1)}
    return save(tmp_path / "epoch_1.pth", **weights)


def test_the_backbone_comes_by_its_prefix_when_a_run_begins(checkpoint: str):
    assert backbone_weights(checkpoint).keys() == {"weight", "bias"}
    runner = Runner()
    BackboneInitHook(checkpoint).before_train(runner)
    assert (runner.model["backbone"].weight == 1).all()


@pytest.mark.parametrize(("init", "iteration"), [(RANDOM, 0), (None, 5)])
def test_random_and_resumed_runs_keep_their_weights(checkpoint: str, init: str | None, iteration: int):
    runner = Runner(iteration)
    before = runner.model["backbone"].weight.clone()
    BackboneInitHook(init or checkpoint).before_train(runner)
    assert torch.equal(runner.model["backbone"].weight, before)


def test_of_a_detector_all_that_fits_comes_too(tmp_path):
    detector = dict(backbone=nn.Linear(2, 3), neck=nn.Linear(3, 3), head=nn.Linear(3, 1), projector=nn.Linear(2, 2))
    file = tmp_path / "iter_9.pth"
    save(file, **{name: torch.full_like(own, 7) for name, own in nn.ModuleDict(detector).state_dict().items()})
    runner = Runner()
    runner.model.update(dict(neck=nn.Linear(3, 3), head=nn.Linear(3, 5)))
    before = runner.model["head"].weight.clone()
    BackboneInitHook(str(file)).before_train(runner)
    assert all((runner.model[name].weight == 7).all() for name in ("backbone", "neck"))
    assert torch.equal(runner.model["head"].weight, before)
    assert load_heads(runner.model, file) == (2, ["head.bias", "head.weight"])


def test_weights_that_do_not_fit_are_listed_and_none_is_loaded():
    backbone = nn.Linear(2, 3)
    before = backbone.weight.clone()
    odd = {"weight": torch.ones(3, 2), "other.bias": torch.ones(3)}
    with pytest.raises(ValueError, match=r"do that\n  without a place .*: other\.bias\n  missing in the file: bias"):
        load_weights(backbone, odd, "x.pth", "do that")
    assert torch.equal(backbone.weight, before)
    with pytest.raises(ValueError, match="of another shape: bias"):
        load_weights(backbone, {"weight": torch.ones(3, 2), "bias": torch.ones(4)}, "x.pth", "do that")


def test_a_file_without_a_backbone(tmp_path):
    with pytest.raises(ValueError, match=r"none\.pth holds no backbone: no key starts with 'backbone\.'"):
        backbone_weights(save(tmp_path / "none.pth", weight=torch.ones(1)))
