"""What a run's checkpoints and log record about it."""

from typing import Any

from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner


class RunInfoHook(RuntimeInfoHook):
    """MMEngine's hook without the losses of every iteration, which would make the host wait for the device.

    :class:`ccrop.hooks.ProgressHook` sums them on the device.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Leave the losses on the device."""
