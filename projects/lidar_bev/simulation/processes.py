"""Simulations in several processes."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from ccrop.available_cores import available_cores

Result = TypeVar("Result")


def simulated(simulate: Callable[[int], Result], total: int, workers: int | None, worth: int) -> list[Result]:
    """Results of ``simulate`` for the numbers from 0 to ``total - 1``, in order.

    Args:
        workers: processes; default: one per core.
        worth: number of simulations that take as long as the start of a process.
    """
    workers = min(workers or available_cores(), total // worth)
    if workers < 2:
        return [simulate(number) for number in range(total)]
    # Spawned, because a fork of a process in which Open3D has run threads can hang.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return list(pool.map(simulate, range(total), chunksize=max(1, worth // 2)))
