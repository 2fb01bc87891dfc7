"""Is the embedding alive? Watches for collapse in every iteration and judges at the end of an epoch."""

import os
import shutil
from typing import Any

import torch
from mmengine.dist import all_reduce, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compat.distributed import unwrapped
from ccrop.evaluation import effective_rank, embedding_std


class CollapseError(RuntimeError):
    """The embedding has collapsed and ``stop_on_collapse`` is set."""


class HealthHook(Hook):
    """Logs z-std x sqrt(d) and the effective rank of z; a collapse warns loudly or stops the run.

    Collapsed is an epoch in which z-std x sqrt(d) stays below ``threshold`` throughout (z is a point), or which ends
    with an effective rank below ``min_rank`` (z is a line: SimSiam without stop-gradient or predictor ends like this,
    at a z-std of 0.2, see ``configs/variants/ablation.py``). The last checkpoint before it is kept as
    ``last_healthy.pth`` until a healthy epoch is followed by another collapse.

    Args:
        threshold: of z-std x sqrt(d), which is about 1 in a healthy run (see :func:`ccrop.evaluation.embedding_std`).
        min_rank: of the effective rank, which is above 10 in a healthy run.
        stop_on_collapse: raise :class:`CollapseError` at the end of a collapsed epoch, before it is saved.
        rank_samples: last embeddings of an epoch that the effective rank is computed from.
    """

    priority = "ABOVE_NORMAL"

    def __init__(
        self,
        threshold: float = 0.1,
        min_rank: float = 2.0,
        stop_on_collapse: bool = False,
        rank_samples: int = 512,
    ) -> None:
        self.threshold = threshold
        self.min_rank = min_rank
        self.stop_on_collapse = stop_on_collapse
        self.rank_samples = rank_samples
        self._alive: bool | None = None  # the last epoch that this process saw
        self._stds: list[Tensor] = []
        self._recent: list[Tensor] = []

    def before_train_epoch(self, runner: Runner) -> None:
        self._stds.clear()
        self._recent.clear()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        model = unwrapped(runner.model)
        z = model.embeddings
        std = embedding_std(z)
        self._stds.append(std)
        assert outputs is not None
        outputs["z_std"] = std
        self._recent.append(z)
        if sum(map(len, self._recent[1:])) >= self.rank_samples:
            self._recent.pop(0)

    def after_train_epoch(self, runner: Runner) -> None:
        stds = torch.stack(self._stds)
        highest, mean = stds.max(), stds.mean()
        all_reduce(highest, "max")
        all_reduce(mean, "mean")
        recent = torch.cat(self._recent)[-self.rank_samples :]
        rank = effective_rank(recent) if recent.isfinite().all() and recent.any() else mean.new_zeros(())
        all_reduce(rank, "mean")
        runner.message_hub.update_scalar("epoch/z_std", mean.item())
        runner.message_hub.update_scalar("epoch/rank", rank.item())
        if not highest >= self.threshold:
            self._report_collapse(
                runner, f"z-std x sqrt(d) never exceeded {highest:.4f} (healthy is about 1, the limit {self.threshold})"
            )
        elif rank < self.min_rank:
            self._report_collapse(
                runner, f"the effective rank of z fell to {rank:.2f} (healthy is above 10, the limit {self.min_rank})"
            )
        else:
            self._alive = True

    def _report_collapse(self, runner: Runner, finding: str) -> None:
        healthy = os.path.join(runner.work_dir, "last_healthy.pth")
        latest = latest_checkpoint(runner.work_dir)
        if latest is not None and is_main_process() and (self._alive or not os.path.exists(healthy)):
            _keep(latest, healthy)
        self._alive = False
        message = (
            f"COLLAPSE in epoch {runner.epoch + 1}: {finding}. Lower the learning rate, check batch size, augmentation "
            "and that BN trains; "
            + (f"the last healthy checkpoint is kept as {healthy}" if latest else "no checkpoint was written before")
        )
        if self.stop_on_collapse:
            raise CollapseError(message)
        runner.logger.warning("\n".join(["!" * 100, message, "!" * 100]))


def _keep(checkpoint: str, name: str) -> None:
    """A second name for a checkpoint, which outlives the first; a copy if the file system has no hard links."""
    if os.path.exists(name):
        os.remove(name)
    try:
        os.link(checkpoint, name)
    except OSError:
        shutil.copyfile(checkpoint, name)
