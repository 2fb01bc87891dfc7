"""Notes in fine-tuning checkpoints, for a run that resumes from them."""

from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.compute import core_seconds


class FinetuningHook(Hook):
    """Records in checkpoints how a detector is trained, and the cost so far.

    Args:
        notes: of :func:`ccrop.transfer.starting_point.notes_on`.
    """

    def __init__(self, notes: dict[str, Any]) -> None:
        self.notes = notes
        self.spent_before = 0.0
        self.start = core_seconds()

    @property
    def spent(self) -> float:
        """CPU seconds of the training, with those before it was resumed; without workers killed with a run.

        With several processes, this one's times their number.
        """
        return self.spent_before + get_world_size() * (core_seconds() - self.start)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.spent_before = checkpoint["finetuning"]["core_seconds"]

    def before_train(self, runner: Runner) -> None:
        self.start = core_seconds()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["finetuning"] = self.notes | dict(core_seconds=self.spent)
