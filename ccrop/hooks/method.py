"""Tells the method its progress in the run."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.compat.distributed import unwrapped


class MethodHook(Hook):
    """Calls :meth:`ccrop.models.Siamese.before_epoch` and, after each optimizer step, ``after_step``.

    What depends on the run's length, such as a target network's momentum, thus follows only from the iteration
    and needs no state to resume.
    """

    priority = "NORMAL"

    def before_train_epoch(self, runner: Runner) -> None:
        unwrapped(runner.model).before_epoch(runner.epoch, runner.max_epochs)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if runner.optim_wrapper.should_update():  # false between the batches over which gradients accumulate
            unwrapped(runner.model).after_step(runner.iter / runner.max_iters)
