"""Checkpoints of which the newest whole one always exists."""

import re
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner


class WholeCheckpointHook(CheckpointHook):
    """MMEngine's hook, but old checkpoints go only after the new one is on disk.

    MMEngine deletes first, so that a kill or a full disk in between can leave none.

    Args:
        keep: newest checkpoints to keep; -1 keeps all.
        kwargs: MMEngine's.
    """

    def __init__(self, keep: int = 3, **kwargs: Any) -> None:
        super().__init__(max_keep_ckpts=-1, **kwargs)
        if keep == 0 or keep < -1:
            raise ValueError(f"keep must be a positive number of checkpoints or -1 for all, got {keep}")
        self.keep = keep

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        super()._save_checkpoint_with_step(runner, step, meta)
        if self.keep > 0 and is_main_process():
            for old in checkpoints(self.out_dir)[: -self.keep]:
                old.unlink()


def checkpoints(work_dir: str | Path) -> list[Path]:
    """The epoch or iteration checkpoints of a work_dir, oldest first; each is whole, being renamed into place."""
    files = [file for file in Path(work_dir).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", file.stem)]
    return sorted(files, key=lambda file: (file.stat().st_mtime_ns, int(file.stem.split("_")[1])))


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Path of the newest checkpoint of a work_dir, if there is one."""
    files = checkpoints(work_dir)
    return str(files[-1]) if files else None
