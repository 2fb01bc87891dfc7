"""Notes in fine-tuning checkpoints, for a run that resumes from them."""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.compute import core_seconds
from ccrop.datasets.trained_files import innermost, trained_files
from ccrop.resume_check import check_resumed_data

DATA = "data"  # of the notes: which files the detector trains on


class FinetuningHook(Hook):
    """Records in checkpoints how and on what a detector is trained, and the cost so far.

    A run is not resumed on other data unless told to.

    Args:
        notes: of :func:`ccrop.transfer.starting_point.notes_on`.
        changes_allowed: the run may be resumed on other data; None where the caller cannot allow it.
    """

    def __init__(self, notes: dict[str, Any], changes_allowed: bool | None = None) -> None:
        self.notes = notes
        self.changes_allowed = changes_allowed
        self.spent_before = 0.0
        self.start = core_seconds()
        self._files: dict[str, Any] | None = None

    @property
    def spent(self) -> float:
        """CPU seconds of the training, with those before it was resumed; without workers killed with a run.

        With several processes, this one's times their number.
        """
        return self.spent_before + get_world_size() * (core_seconds() - self.start)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Of the run that goes on.

        Raises:
            ValueError: see :func:`ccrop.resume_check.check_resumed_data`.
        """
        notes = checkpoint["finetuning"]
        self.spent_before = notes["core_seconds"]
        if DATA in notes:  # checkpoints of earlier versions do not say
            check_resumed_data(
                runner.cfg.load_from,
                notes[DATA],
                self._data(runner),
                next(innermost(runner.train_dataloader.dataset)).data_root,
                self.changes_allowed,
                "number, names or labels",
            )

    def before_train(self, runner: Runner) -> None:
        self.start = core_seconds()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["finetuning"] = self.notes | {"core_seconds": self.spent, DATA: self._data(runner)}

    def _data(self, runner: Runner) -> dict[str, Any]:
        if self._files is None:
            self._files = trained_files(runner.train_dataloader.dataset)  # of 100,000 images, it takes seconds
        return self._files
