"""Lines of a detector's log that do not keep anyone waiting."""

import time

from mmengine.hooks import LoggerHook
from mmengine.runner import Runner


class SteadyLoggerHook(LoggerHook):
    """MMEngine's hook, which also logs if no line came for a while: slow iterations show a sign of life.

    Args:
        interval: iterations between lines.
        seconds: between them at most, and one iteration more.
    """

    def __init__(self, interval: int = 50, seconds: float = 60.0) -> None:
        super().__init__(interval)
        self.seconds = seconds
        self._said = 0.0

    def before_run(self, runner: Runner) -> None:
        super().before_run(runner)
        self._said = time.perf_counter()

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        now = time.perf_counter()
        due = super().every_n_inner_iters(batch_idx, n) or now - self._said >= self.seconds
        if due:
            self._said = now
        return due
