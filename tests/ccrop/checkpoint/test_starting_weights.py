"""Which weights a run starts from."""

import math
from pathlib import Path

import pytest
import torch
import torchvision
from mmengine.config import Config
from torch import nn

from ccrop.checkpoint import Weights, load_start, starting_weights


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Three files of weights that all tell themselves apart."""
    folder = tmp_path_factory.mktemp("weights")
    state = torchvision.models.squeezenet1_1().state_dict()
    for name in ("a", "b"):
        torch.save(state, folder / f"{name}.pth")
    return {name: str(folder / f"{name}.pth") for name in ("a", "b")}


@pytest.mark.parametrize(
    ("settings", "init", "source"),
    [
        ({}, None, None),
        ({}, "a", "a"),
        ({}, "random", None),
        (dict(init="a"), None, "a"),
        (dict(init="a"), "b", "b"),
        (dict(init="a"), "random", None),
        (dict(load_from="a"), None, "a"),
        (dict(load_from="a", init="b"), None, "a"),
        (dict(load_from=None, init="b"), None, "b"),
    ],
)
def test_the_command_line_goes_before_the_config(
    settings: dict, init: str | None, source: str | None, files: dict[str, str]
):
    config = Config({key: files.get(name, name) for key, name in settings.items()})
    weights = starting_weights(config, files.get(init, init))
    assert (weights and weights.source) == files.get(source)
    assert config.init == files.get(source, "random")
    assert config.load_from is None  # MMEngine must not look at it


@pytest.mark.parametrize("init", ["random", "b.pth"])
def test_two_sources_are_an_error(init: str):
    with pytest.raises(ValueError, match=rf"^--init {init} and load_from=a\.pth both specify weights: remove load_"):
        starting_weights(Config(dict(load_from="a.pth")), init)


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth does not exist"):
        starting_weights(Config(dict(load_from=str(tmp_path / "none.pth"))), None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_of_a_run_that_diverged_are_refused_before_anything_else_happens(tmp_path: Path, value: float):
    state = torchvision.models.squeezenet1_1().state_dict()
    state["features.0.bias"][3] = value
    torch.save(state, tmp_path / "a.pth")
    message = (
        r"^.*/a\.pth: 1 of 52 weights are NaN or infinite, the first is features\.0\.bias: the run that wrote it has "
        r"diverged; choose an earlier checkpoint, or other weights$"
    )
    with pytest.raises(ValueError, match=message):
        starting_weights(Config(), str(tmp_path / "a.pth"))


def test_heads_that_diverged_are_not_loaded():
    model = nn.ModuleDict(dict(backbone=nn.Conv2d(3, 4, 1), neck=nn.Linear(2, 2)))
    before = model["neck"].weight.clone()
    neck = {"neck.weight": torch.full((2, 2), math.nan), "neck.bias": torch.zeros(2)}
    state = {name: tensor.clone() for name, tensor in model["backbone"].state_dict().items()}
    with pytest.raises(ValueError, match=r"^some\.pth: 1 of 2 weights are NaN or infinite, the first is neck\.weight:"):
        load_start(model, Weights("some.pth", state, neck, "a test"))
    assert torch.equal(model["neck"].weight, before)
