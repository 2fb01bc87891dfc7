"""Batches that do not fit into memory are refused in the first forward pass."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jobs import ROOT
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ccrop.hooks import BatchMemoryHook, BatchTooLargeError, batch_memory
from ccrop.tools import finetune, train

KEPT = 4 * 100 * (1000 + 500)  # bytes: the layer keeps its input; the ReLU its output, as the square does


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the available memory, in bytes."""
    return lambda available: monkeypatch.setattr(batch_memory, "available_memory", lambda: available)


def new_runner() -> SimpleNamespace:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1000, 500), nn.ReLU())
    return SimpleNamespace(model=model, train_dataloader=DataLoader(range(200), batch_size=100))


def iteration(hook: BatchMemoryHook, runner: SimpleNamespace, views: Tensor) -> Tensor:
    """The gradient of the weights."""
    hook.before_train_iter(runner, 0)
    (gradient,) = torch.autograd.grad(runner.model(views).square().sum(), runner.model[0].weight)
    hook.after_train_iter(runner, 0)
    return gradient


def test_what_the_backward_pass_needs_may_take_nine_tenths(limit: Callable[[float], None]):
    views = torch.randn(100, 1000)
    limit(KEPT / 0.9 + 100)
    iteration(BatchMemoryHook(), new_runner(), views)
    limit(KEPT / 0.9 - 100)
    with pytest.raises(BatchTooLargeError, match=r"^a batch of 100 does not fit .*: lower train_dataloader\."):
        iteration(BatchMemoryHook(), new_runner(), views)


def test_a_refused_batch_leaves_no_hook_behind(limit: Callable[[float], None]):
    limit(KEPT / 2)
    runner = new_runner()
    with pytest.raises(BatchTooLargeError):
        iteration(BatchMemoryHook(), runner, torch.randn(100, 1000))
    runner.model(torch.randn(100, 1000)).sum().backward()


def test_looks_once_and_changes_nothing(limit: Callable[[float], None]):
    views = torch.randn(100, 1000)
    limit(1e9)
    hook, runner = BatchMemoryHook(), new_runner()
    (expected,) = torch.autograd.grad(runner.model(views).square().sum(), runner.model[0].weight)
    assert torch.equal(iteration(hook, runner, views), expected)
    limit(1)
    assert torch.equal(iteration(hook, runner, views), expected)


def test_the_commands_end_with_2(
    demo_root: Path,
    tmp_path: Path,
    limit: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    limit(1e5)
    detector = [str(ROOT / "projects/detection_transfer/configs/tiles_r18.py"), "--data-root", str(demo_root)]
    options = ["model.backbone.base_channels=8", "model.backbone.stem_channels=8", "train_dataloader.batch_size=2"]
    assert finetune.main([*detector, "--init", "random", "--iterations", "2", "--cfg-options", *options]) == 2
    assert "a batch of 2 does not fit into" in capsys.readouterr().err.strip().splitlines()[-1]
    assert train.main([str(ROOT / "configs/simsiam_rcrop_demo.py"), "--data-root", str(demo_root)]) == 2
    assert "does not fit into" in capsys.readouterr().err.strip().splitlines()[-1]
