"""A progress bar during an epoch, and one line at its end that says whether it was healthy."""

import time
from datetime import timedelta
from typing import Any

from mmengine.dist import get_world_size, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

COLUMNS = {
    "loss": "loss {:+.4f}",
    "loss_heatmap": "heatmap {:.3f}",
    "loss_start": "start {:+.3f}",
    "z_std": "z-std {:.3f}",
    "rank": "rank {:.1f}",
    "knn": "kNN {:.2%}",
    "clusters": "boxes {:.2f}/{unit}",
    "no_box": "none {:.1%}",
    "box_area": "area {:.3f}",
    "whole_image": "whole {:.1%}",
    "box_side": "side {:.1f} m",
    "unreadable": "unreadable {:.0f}",
}


class ProgressHook(Hook):
    """Prints the epoch's line from the scalars ``epoch/*`` that other hooks recorded in the message hub.

    A new scalar appears as ``name value``; known ones are formatted by ``COLUMNS``. All go to the visualizer's
    backends (TensorBoard by default), under the same names.

    Args:
        interval: iterations between looks at the loss, for the bar and for the backends' curves ``train/*``.
        seconds: between lines of the log within an epoch, if there is no terminal to show a bar on.
    """

    priority = "LOW"

    def __init__(self, interval: int = 10, seconds: float = 60.0) -> None:
        self.interval = interval
        self.seconds = seconds
        self._bar: tqdm | None = None
        self._seen: dict[str, int] = {}
        self._losses: dict[str, Any] = {}
        self._started = self._said = 0.0
        self._first_epoch = 0
        self._run_started = 0.0

    def before_train(self, runner: Runner) -> None:
        self._first_epoch = runner.epoch
        self._run_started = time.perf_counter()

    def before_train_epoch(self, runner: Runner) -> None:
        self._losses = {}
        self._started = self._said = time.perf_counter()
        self._seen = {name: len(buffer.data[0]) for name, buffer in runner.message_hub.log_scalars.items()}
        self._bar = tqdm(
            total=len(runner.train_dataloader),
            desc=f"epoch {runner.epoch + 1}/{runner.max_epochs}",
            leave=False,
            disable=None if is_main_process() else True,
        )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        assert outputs is not None
        assert self._bar is not None
        for name, value in outputs.items():
            self._losses[name] = self._losses.get(name, 0.0) + value.detach()
        self._bar.update()
        if self.every_n_train_iters(runner, self.interval):
            scalars = {f"train/{name}": value.item() for name, value in outputs.items()}
            scalars["train/lr"] = runner.optim_wrapper.get_lr()["lr"][0]
            runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
            self._bar.set_postfix_str(f"loss {scalars['train/loss']:+.3f}")
        now = time.perf_counter()
        if self._bar.disable and is_main_process() and now - self._said >= self.seconds:
            self._said, done, total = now, batch_idx + 1, len(runner.train_dataloader)
            left = timedelta(seconds=round((now - self._started) / done * (total - done)))
            runner.logger.info(
                f"epoch {runner.epoch + 1}/{runner.max_epochs}, iteration {done}/{total}  "
                f"loss {outputs['loss'].item():+.4f}  {left} to the end of the epoch"
            )

    @master_only
    def after_train_epoch(self, runner: Runner) -> None:
        assert self._bar is not None
        self._bar.close()
        loader, unit = runner.train_dataloader, runner.train_dataloader.dataset.unit
        seconds = time.perf_counter() - self._started
        for name, total in self._losses.items():
            runner.message_hub.update_scalar(f"epoch/{name}", float(total) / len(loader))
        scalars = {
            name.removeprefix("epoch/"): buffer.current()
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith("epoch/") and len(buffer.data[0]) != self._seen.get(name)
        }
        known = [text.format(scalars[name], unit=unit) for name, text in COLUMNS.items() if name in scalars]
        new = [f"{name} {value:.4g}" for name, value in scalars.items() if name not in COLUMNS]
        images = len(loader) * loader.batch_size * get_world_size()
        speed = f"{images / seconds:.{0 if images >= 10 * seconds else 2}f} {unit}s/s"
        done = runner.epoch + 1
        elapsed = time.perf_counter() - self._run_started
        eta = timedelta(seconds=round(elapsed / (done - self._first_epoch) * (runner.max_epochs - done)))
        line = [f"epoch {done}/{runner.max_epochs}", *known, *new, speed, f"ETA {eta}"]
        runner.logger.info("  ".join(line))
        runner.visualizer.add_scalars({f"epoch/{name}": value for name, value in scalars.items()}, step=done)
