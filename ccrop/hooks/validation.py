"""Metrics of a detector while it trains."""

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner


class ValidationHook(Hook):
    """Tests a detector at an interval of iterations, but not after the last one, when it is tested anyway.

    Args:
        interval: iterations from one test to the next.
        test: tests the detector and returns its metrics in a line; it may leave the model in eval mode.
    """

    def __init__(self, interval: int, test: Callable[[], str]) -> None:
        if interval < 1:
            raise ValueError(f"the validation interval must be at least one iteration, got {interval}")
        self.interval = interval
        self.test = test

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.every_n_train_iters(runner, self.interval) and not self.is_last_train_iter(runner):
            line = self.test()  # MMEngine's loop sets the model to train mode before each iteration
            runner.logger.info(f"Validation after {runner.iter + 1} iterations: {line}")
