"""A run starts from the weights that it was given, and its checkpoints say what they expect."""

import logging

import pytest
import torch
from methods import METHODS, build
from mmengine.config import Config

from ccrop.checkpoint import Normalization, Weights
from ccrop.hooks import StartHook

GRAY = Normalization((0.5,) * 3, (0.25,) * 3)


class Runner:
    """As much of a runner as the hook sees."""

    logger = logging.getLogger("test_start")
    cfg = Config(dict(load_from="epoch_1.pth"))

    def __init__(self, model: torch.nn.Module, iteration: int = 0) -> None:
        self.model = model
        self.iter = iteration


def trained(method: str, **settings: object) -> Weights:
    """Weights of a method, all of them 7, and what it remembers."""
    others = {name: torch.full_like(tensor, 7) for name, tensor in build(method, **settings).state_dict().items()}
    names = [name for name in others if name.startswith("backbone.")]
    backbone = {name.removeprefix("backbone."): others.pop(name) for name in names}
    return Weights("a.pth", backbone, others, "a test", GRAY)


@pytest.mark.parametrize("method", METHODS)
def test_backbone_and_heads_come_and_a_target_network_follows(method: str):
    model = build(method)
    queues = {name: tensor.clone() for name, tensor in model.state_dict().items() if name.startswith("queue")}
    StartHook(trained(method), GRAY).before_train(Runner(model))
    for name, tensor in model.state_dict().items():
        expected = queues.get(name, torch.full_like(tensor, 7))
        assert torch.equal(tensor, expected), name


def test_heads_of_another_method_stay_as_they_are():
    model = build("simsiam")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    StartHook(trained("simclr", channels=5), None).before_train(Runner(model))
    for name, tensor in model.state_dict().items():
        if name.startswith("predictor."):
            assert torch.equal(tensor, before[name])
        elif name.startswith("backbone."):
            assert (tensor == 7).all()


@pytest.mark.parametrize(("given", "iteration"), [(False, 0), (True, 5)])
def test_random_and_resumed_runs_keep_their_weights(given: bool, iteration: int):
    model = build("byol")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    StartHook(trained("byol") if given else None, None).before_train(Runner(model, iteration))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_run_does_not_begin_with_weights_that_do_not_fit():
    model = build("byol")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    weights = Weights("a.pth", {"x.weight": torch.ones(1)}, {}, "a test")
    with pytest.raises(ValueError, match=r"a\.pth does not fit the backbone"):
        StartHook(weights, None).before_train(Runner(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("other", "settings"), [("simclr", {}), ("byol", {}), ("simsiam", dict(channels=5))])
def test_a_run_of_another_model_is_not_resumed(other: str, settings: dict[str, int]):
    runner = Runner(build("simsiam"))
    StartHook(None, None).after_load_checkpoint(runner, dict(state_dict=build("simsiam").state_dict()))
    theirs = build(other, **settings).state_dict()
    with pytest.raises(ValueError, match=r"epoch_1\.pth cannot be resumed, .* with --init epoch_1\.pth\n  \d+ "):
        StartHook(None, None).after_load_checkpoint(runner, dict(state_dict=theirs))


@pytest.mark.parametrize(("expects", "said"), [(GRAY, "as they expect"), (None, "which their file does not state")])
def test_the_log_says_how_images_are_normalized(
    expects: Normalization | None, said: str, caplog: pytest.LogCaptureFixture
):
    weights = trained("simsiam")
    weights = Weights(weights.source, weights.backbone, weights.others, weights.origin, expects)
    with caplog.at_level(logging.INFO):
        StartHook(weights, GRAY).before_train(Runner(build("simsiam")))
    assert f"mean 0.500, 0.500, 0.500 and std 0.250, 0.250, 0.250, {said}" in caplog.text


def test_checkpoints_say_how_images_are_normalized():
    checkpoint, of_sweeps = {}, {}
    StartHook(None, GRAY).before_save_checkpoint(None, checkpoint)
    assert checkpoint == dict(normalization=dict(mean=[0.5] * 3, std=[0.25] * 3))
    StartHook(None, None).before_save_checkpoint(None, of_sweeps)
    assert of_sweeps == {}
