import itertools
import logging
import os
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from ccrop.evaluation import effective_rank, embedding_std
from ccrop.hooks.health import CollapseError, HealthHook

numbers = itertools.count()


def healthy(seed=0):
    return torch.randn(32, 16, generator=torch.Generator().manual_seed(seed))


def collapsed(seed=0):
    return 1 + 1e-3 * healthy(seed)


def diverged(seed=0):
    return torch.full((32, 16), torch.nan)


@pytest.fixture
def runner(tmp_path):
    (tmp_path / "epoch_4.pth").write_text("epoch 4")
    hub = MessageHub.get_instance(f"health-{next(numbers)}")
    return SimpleNamespace(
        work_dir=str(tmp_path), message_hub=hub, logger=logging.getLogger("health"), epoch=4, model=SimpleNamespace()
    )


@pytest.fixture
def warnings(runner):
    """Messages of the runner's logger."""
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    runner.logger.addHandler(handler)
    yield messages
    runner.logger.removeHandler(handler)


def run_epoch(hook, runner, batches):
    hook.before_train_epoch(runner)
    logged = []
    for iteration, z in enumerate(batches):
        runner.model.embeddings = z
        outputs = {}
        hook.after_train_iter(runner, iteration, outputs=outputs)
        logged.append(outputs["z_std"].item())
    hook.after_train_epoch(runner)
    return logged


def value(runner, name):
    return runner.message_hub.get_scalar(f"epoch/{name}").current()


def test_std_of_every_iteration_and_of_the_epoch_are_logged(runner, warnings):
    batches = [healthy(seed) * torch.linspace(1, seed, 16) for seed in range(1, 4)]
    expected = [embedding_std(z).item() for z in batches]
    assert len(set(expected)) == 3
    assert run_epoch(HealthHook(), runner, batches) == expected
    assert value(runner, "z_std") == pytest.approx(sum(expected) / 3)
    assert warnings == []


def test_rank_is_that_of_the_last_embeddings(runner):
    batches = [healthy(seed)[:, :2] @ healthy(9)[:2] if seed < 3 else healthy(seed) for seed in range(5)]
    run_epoch(HealthHook(rank_samples=48), runner, batches)
    last = torch.cat(batches)[-48:]
    assert value(runner, "rank") == pytest.approx(effective_rank(last).item())
    assert value(runner, "rank") > 10
    run_epoch(HealthHook(rank_samples=9999), runner, batches)
    assert value(runner, "rank") == pytest.approx(effective_rank(torch.cat(batches)).item())


def test_epochs_are_judged_one_by_one(runner, warnings):
    hook = HealthHook()
    run_epoch(hook, runner, [healthy()])
    run_epoch(hook, runner, [collapsed()])
    assert value(runner, "z_std") == pytest.approx(embedding_std(collapsed()).item())
    assert value(runner, "rank") == pytest.approx(effective_rank(collapsed()).item())
    assert len(warnings) == 1


def test_collapsed_epoch_warns_and_keeps_the_checkpoint_before_it(runner, warnings, tmp_path):
    run_epoch(HealthHook(), runner, [collapsed(seed) for seed in range(3)])
    (message,) = warnings
    assert "COLLAPSE in epoch 5" in message
    assert "the limit 0.1" in message
    assert f"kept as {tmp_path / 'last_healthy.pth'}" in message
    (tmp_path / "epoch_4.pth").unlink()
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 4"


def test_collapse_stops_the_run_where_asked_to(runner, warnings, tmp_path):
    with pytest.raises(CollapseError, match=r"COLLAPSE in epoch 5: .* never exceeded 0\.00\d+"):
        run_epoch(HealthHook(stop_on_collapse=True), runner, [collapsed(), collapsed(1)])
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 4"
    assert warnings == []


def test_one_healthy_iteration_prevents_it(runner, warnings, tmp_path):
    for place in range(3):
        batches = [healthy() if iteration == place else collapsed(iteration) for iteration in range(3)]
        run_epoch(HealthHook(stop_on_collapse=True), runner, batches)
    assert warnings == []
    assert not (tmp_path / "last_healthy.pth").exists()


@pytest.mark.parametrize("batches", [[diverged()], [collapsed(), diverged()], [diverged(), collapsed()]])
def test_nan_is_a_collapse(runner, batches):
    with pytest.raises(CollapseError, match="COLLAPSE"):
        run_epoch(HealthHook(stop_on_collapse=True), runner, batches)


def test_rank_of_nan_and_of_zeros_is_zero(runner, warnings):
    for z in (diverged(), torch.zeros(32, 16)):
        run_epoch(HealthHook(), runner, [z])
        assert value(runner, "rank") == 0
    assert len(warnings) == 2


def line(noise):
    """Embeddings that differ along one direction alone, but for the noise: z-std x sqrt(d) is 1."""
    signs = torch.where(torch.arange(32) % 2 == 0, 1.0, -1.0)
    return signs[:, None] + noise * healthy()


def test_a_line_is_a_collapse_though_z_std_is_healthy(runner, warnings):
    run_epoch(HealthHook(), runner, [line(0.01), line(0.01)])
    assert value(runner, "z_std") == pytest.approx(1, abs=0.01)
    assert 1 < value(runner, "rank") < 2
    (message,) = warnings
    assert f"COLLAPSE in epoch 5: the effective rank of z fell to {value(runner, 'rank'):.2f}" in message
    run_epoch(HealthHook(stop_on_collapse=True, min_rank=1.0), runner, [line(0.01)])
    run_epoch(HealthHook(stop_on_collapse=True), runner, [line(1.0)])
    with pytest.raises(CollapseError, match=r"the limit 2\.0"):
        run_epoch(HealthHook(stop_on_collapse=True), runner, [line(0.01)])


@pytest.mark.parametrize(("threshold", "collapses"), [(0.9, False), (1.1, True)])
def test_threshold_is_a_setting(runner, warnings, threshold, collapses):
    run_epoch(HealthHook(threshold=threshold), runner, [healthy()])
    assert bool(warnings) == collapses


def test_later_collapsed_epochs_keep_the_healthy_checkpoint(runner, tmp_path):
    hook = HealthHook()
    run_epoch(hook, runner, [collapsed()])
    (tmp_path / "epoch_5.pth").write_text("a collapsed one")
    run_epoch(hook, runner, [collapsed()])
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 4"


def test_a_collapse_after_a_recovery_keeps_the_newer_healthy_checkpoint(runner, tmp_path):
    hook = HealthHook()
    run_epoch(hook, runner, [collapsed()])
    run_epoch(hook, runner, [healthy()])
    (tmp_path / "epoch_6.pth").write_text("epoch 6")
    run_epoch(hook, runner, [collapsed()])
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 6"
    (tmp_path / "epoch_7.pth").write_text("a collapsed one")
    run_epoch(HealthHook(), runner, [collapsed()])  # of a process that saw no healthy epoch
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 6"


def test_collapse_before_the_first_checkpoint_says_so(runner, warnings, tmp_path):
    (tmp_path / "epoch_4.pth").unlink()
    run_epoch(HealthHook(), runner, [collapsed()])
    assert "no checkpoint was written before" in warnings[0]
    assert not (tmp_path / "last_healthy.pth").exists()


def test_checkpoint_is_copied_where_there_are_no_hard_links(runner, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    run_epoch(HealthHook(), runner, [collapsed()])
    assert (tmp_path / "last_healthy.pth").read_text() == "epoch 4"


def test_wrapped_model_is_looked_into(runner, warnings):
    inner = nn.Linear(1, 1)
    inner.embeddings = collapsed()
    runner.model = nn.DataParallel(inner)
    hook = HealthHook()
    hook.after_train_iter(runner, 0, outputs={})
    hook.after_train_epoch(runner)
    assert len(warnings) == 1
