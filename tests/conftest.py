"""Data that several tests read, and what keeps tests from meeting each other."""

import fcntl
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
import torch
from jobs import Once, fresh_mmengine

from ccrop.datasets.demo import make_demo_set


def pytest_collection_finish() -> None:
    """Whenever a data set of MMEngine is built, garbage is collected: not among all that the imports have left."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """On busy cores, threads that share small tensors wait for each other far longer than they work."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def mmengine_of_its_own() -> Iterator[None]:
    """A test meets no logger, message hub, visualizer or scope of another one."""
    with fresh_mmengine():
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Fills a folder of a name once for all workers of pytest-xdist, which only read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def filled(name, fill):
        folder = base / name
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                draft = Path(mkdtemp(dir=base))
                fill(draft)
                draft.rename(folder)
        return folder

    return filled


@pytest.fixture(scope="session")
def demo_root(once: Once) -> Path:
    """A demo set of 64 training and 16 validation images."""
    return once("demo", lambda folder: make_demo_set(folder, num_train=64, num_val=16, workers=1))
