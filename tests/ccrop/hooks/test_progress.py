"""The line of an epoch."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub

from ccrop.hooks import ProgressHook

pytestmark = pytest.mark.filterwarnings("error:Converting a tensor")  # torch's, of a loss with a gradient


class Loader(SimpleNamespace):
    batch_size = 4
    dataset = SimpleNamespace(unit="image")

    def __len__(self) -> int:
        return 2


def line_of(
    folder: Path, caplog, losses: tuple[str, ...] = ("loss",), hook: ProgressHook | None = None, **scalars: float
) -> str:
    hub = MessageHub.get_instance(f"progress-{folder}")
    runner = SimpleNamespace(
        train_dataloader=Loader(),
        message_hub=hub,
        logger=logging.getLogger("progress"),
        visualizer=SimpleNamespace(add_scalars=lambda scalars, step: None),
        optim_wrapper=SimpleNamespace(get_lr=lambda: dict(lr=[0.1])),
        epoch=2,
        max_epochs=8,
        iter=4,
    )
    hook = hook or ProgressHook()
    caplog.set_level(logging.INFO)
    hub.update_scalar("epoch/stale", 1.0)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    for iteration in range(2):
        outputs = {name: torch.tensor(-0.25 * iteration, requires_grad=True) for name in losses}
        hook.after_train_iter(runner, iteration, outputs=outputs)
    for name, value in scalars.items():
        hub.update_scalar(f"epoch/{name}", value)
    hook.after_train_epoch(runner)
    return caplog.messages[-1]


def test_known_scalars_in_their_order_and_format_then_new_ones(tmp_path, caplog):
    line = line_of(tmp_path, caplog, new=12.34567, whole_image=0.125, no_box=0.0625, clusters=4.5, box_area=0.03125)
    start = "epoch 3/8  loss -0.1250  boxes 4.50/image  none 6.2%  area 0.031  whole 12.5%  new 12.35  "
    assert line.startswith(start)


def test_an_epoch_without_any_box(tmp_path, caplog):
    assert "  boxes 0.00/image  none 100.0%  " in line_of(tmp_path, caplog, clusters=0.0, no_box=1.0)


def test_every_loss_has_its_own_mean(tmp_path, caplog):
    assert "  loss -0.1250  heatmap -0.125  " in line_of(tmp_path, caplog, losses=("loss", "loss_heatmap"))


def test_without_a_terminal_a_line_is_logged_within_the_epoch(tmp_path, caplog):
    line_of(tmp_path, caplog, hook=ProgressHook(seconds=0.0))
    first, second, _ = caplog.messages
    assert first.startswith("epoch 3/8, iteration 1/2  loss -0.0000  0:00:0")
    assert second == "epoch 3/8, iteration 2/2  loss -0.2500  0:00:00 to the end of the epoch"


def test_a_line_is_logged_at_most_every_so_many_seconds(tmp_path, caplog):
    line_of(tmp_path, caplog, hook=ProgressHook(seconds=1000.0))
    assert len(caplog.messages) == 1
