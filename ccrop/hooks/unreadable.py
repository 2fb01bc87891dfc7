"""Reports unreadable images while the run continues without them, and stops it if there are too many."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ccrop.datasets.reading import printable

RAISE = ", or raise default_hooks.unreadable.limit"


class TooManyUnreadable(ValueError):
    """More of the images are unreadable than the run tolerates; lists them."""


class UnreadableImagesHook(Hook):
    """One warning per unreadable image, their count in the epoch's line, and a limit.

    Args:
        limit: fraction of the data set above which the run stops.
        interval: iterations between looks at the marks.
    """

    priority = "HIGH"
    otherwise = RAISE

    def __init__(self, limit: float = 0.01, interval: int = 20) -> None:
        self.limit = limit
        self.interval = interval
        self._reported: set[int] = set()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self._look(runner)

    def after_localization(self, runner: Runner) -> None:
        self._look(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        self._look(runner)
        runner.message_hub.update_scalar("epoch/unreadable", len(self._reported))

    def _look(self, runner: Runner) -> None:
        """Share the marks between ranks, warn of new ones. Collective: every rank must call it."""
        dataset = self.marked(runner)
        marks = dataset.unreadable.to(torch.uint8)
        all_reduce(marks, "max")
        dataset.unreadable.copy_(marks)
        for index in sorted(set(marks.nonzero()[:, 0].tolist()) - self._reported):
            self._reported.add(index)
            runner.logger.warning(f"skipped {dataset.why_unreadable(index)}")
        if len(self._reported) > self.limit * len(dataset):
            files = "\n".join(printable(dataset.path(dataset.get_data_info(index))) for index in sorted(self._reported))
            raise TooManyUnreadable(
                f"{len(self._reported)} of {len(dataset)} {dataset.unit}s are unreadable, more than {self.limit:.0%}: "
                f"repair or remove them{self.otherwise}.\n{files}"
            )

    def marked(self, runner: Runner) -> Any:
        """Anything that marks unreadable files, see :class:`ccrop.datasets.LocatedDataset`."""
        return runner.train_dataloader.dataset
