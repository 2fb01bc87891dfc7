"""Long work with its progress: a bar on a terminal, and a line of the log every minute where there is none."""

import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from tqdm import tqdm

INTERVAL = 60.0  # seconds between lines of the log

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], what: str, total: int | None = None, initial: int = 0) -> Iterator[Item]:
    """The items as they are, while the main process shows how many are done.

    Args:
        what: is done with them, for the bar and the log.
        total: number of items; default: their own length, if they have one.
        initial: of these, how many were done before.
    """
    main = is_main_process()
    bar = tqdm(items, what, total, initial=initial, leave=False, disable=None if main else True)
    if not (bar.disable and main):
        yield from bar
        return
    started = said = time.perf_counter()
    for done, item in enumerate(items):
        now = time.perf_counter()
        if done and now - said >= INTERVAL:
            said = now
            MMLogger.get_current_instance().info(f"{what}: {_position(done, initial, bar.total, now - started)}")
        yield item


def _position(done: int, initial: int, total: float | None, seconds: float) -> str:
    """How far it is, and how long the rest takes at the speed so far."""
    if total is None:
        return f"{initial + done} done"
    left = timedelta(seconds=round(seconds / done * (total - initial - done)))
    return f"{initial + done} of {total:.0f} done, {left} left"
