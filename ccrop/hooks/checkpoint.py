"""Checkpoints with a guarantee that the newest complete one always exists."""

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ccrop.checkpoint.newest import checkpoints
from ccrop.checkpoint.recorded_config import KEY, as_data


class WholeCheckpointHook(CheckpointHook):
    """MMEngine's hook, but old checkpoints are deleted only once the new one is on disk; each holds the run's config.

    MMEngine deletes first, so that a kill or a full disk in between can leave none. Checkpoints ahead of where a run
    starts belong to another run: they are renamed to ``*.superseded.pth``, so that the one with the highest number is
    always the run's newest.

    Args:
        interval: epochs or iterations between checkpoints; below 1, a fraction of the run.
        keep: newest checkpoints to keep; -1 keeps all.
        kwargs: MMEngine's.
    """

    def __init__(self, interval: float = -1, keep: int = 3, **kwargs: Any) -> None:
        super().__init__(interval, max_keep_ckpts=-1, **kwargs)
        if keep == 0 or keep < -1:
            raise ValueError(f"keep must be a positive number of checkpoints or -1 for all, got {keep}")
        self.keep = keep
        self.interval: float

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if 0 < self.interval < 1:
            self.interval = max(1, int(self.interval * (runner.max_epochs if self.by_epoch else runner.max_iters)))
        if is_main_process():
            begins = dict(epoch=runner.epoch, iter=runner.iter)
            for file in checkpoints(self.out_dir):
                kind, number = file.stem.split("_")
                if int(number) > begins[kind]:
                    renamed = file.rename(file.with_suffix(".superseded.pth"))
                    runner.logger.info(
                        f"{file.name} is ahead of where this run starts and was renamed to {renamed.name}"
                    )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = as_data(runner.cfg)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if self.keep > 0 and is_main_process():
            for old in checkpoints(self.out_dir)[: -self.keep]:
                old.unlink()
