"""A run whose weights have become NaN or infinite must not continue or be resumed."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.compat.distributed import unwrapped


class DivergedError(RuntimeError):
    """Weights of the model are NaN or infinite."""


class DivergenceHook(Hook):
    """Ends a run before a checkpoint with weights that are NaN or infinite is written.

    Checks the weights whenever a checkpoint is due, so iterations cost nothing.

    Args:
        option: with which a run may be resumed at a lower learning rate, None if it may not.
    """

    priority = "VERY_HIGH"

    def __init__(self, option: str | None = None) -> None:
        self.option = option

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Check weights and buffers.

        Raises:
            DivergedError: names the first weight and, if the run may be resumed at another rate, the newest checkpoint.
        """
        model = unwrapped(runner.model)
        state = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
        if not state:
            return
        finite = torch.stack([value.isfinite().all() for value in state.values()]).tolist()
        if all(finite):
            return
        latest = latest_checkpoint(runner.work_dir) if self.option else None
        start = f"resume {latest} with {self.option} and" if latest else "start over with"
        raise DivergedError(
            f"DIVERGED by iteration {runner.iter + 1}: {finite.count(False)} of {len(finite)} weights are NaN or "
            f"infinite, the first is {list(state)[finite.index(False)]}; no checkpoint was written: {start} a lower "
            "learning rate"
        )
