"""Notes in pretraining checkpoints on how, and on which data, they are trained."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.datasets.trained_files import trained_files
from ccrop.resume_check import check_resumed_data

DATA = "data"  # in a checkpoint: which files the run trains on


class SettingsHook(Hook):
    """Records a run's settings and data in its checkpoints, and does not resume on other data unless told to.

    Args:
        settings: of :func:`ccrop.resume_check.pretraining_settings`.
        changes_allowed: the run may be resumed on other data; boxes of other examples are refused all the same.
    """

    priority = "HIGH"  # before boxes are restored, which know no names of files

    def __init__(self, settings: dict[str, str], changes_allowed: bool = False) -> None:
        self.settings = settings
        self.changes_allowed = changes_allowed
        self._files: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Of the run that goes on.

        Raises:
            ValueError: see :func:`ccrop.resume_check.check_resumed_data`.
        """
        if DATA in checkpoint:  # checkpoints of earlier versions do not say
            dataset = runner.train_dataloader.dataset
            boxes = "boxes" in checkpoint and dataset.boxes is not None
            check_resumed_data(
                runner.cfg.load_from,
                checkpoint[DATA],
                self._data(runner),
                dataset.data_root,
                None if boxes else self.changes_allowed,
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["settings"] = self.settings
        checkpoint[DATA] = self._data(runner)

    def _data(self, runner: Runner) -> dict[str, Any]:
        if self._files is None:
            self._files = trained_files(runner.train_dataloader.dataset)  # of millions of names, it takes a second
        return self._files
