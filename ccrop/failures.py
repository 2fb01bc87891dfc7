"""Explains interruptions and data-loading failures of a training run in one line that says what to do."""

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

import torch
from mmengine.runner import Runner

from ccrop.files import full_disk_explained
from ccrop.hooks.batch_memory import BatchTooLargeError, batch_size
from ccrop.resume_advice import dead_worker, failed_worker, how_to_resume, is_dead_worker, is_interrupt
from ccrop.wording import counted

LOST = (RuntimeError, ConnectionError, EOFError, FileNotFoundError)  # raised when a worker dies


@contextmanager
def accidents_explained(runner: Runner) -> Iterator[None]:
    """Around a training; an interrupt is logged and continues its way.

    Raises:
        BatchTooLargeError: torch could not allocate memory.
        DiskFull: see :func:`ccrop.files.full_disk_explained`.
        ChildProcessError: a data-loading worker was killed.
        ValueError: a batch is too small for batch normalization, or a worker failed; gives the last line of its
            traceback.
    """
    try:
        with full_disk_explained(runner.work_dir, advice=how_to_resume()):
            yield
    except (KeyboardInterrupt, Exception) as error:
        _explain_end(runner, error, "train_dataloader", "")
        text = str(error).strip()
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
            raise BatchTooLargeError(
                f"a batch of {batch_size(runner.train_dataloader)} does not fit into memory "
                f"({text.splitlines()[0].rstrip('.')}): lower train_dataloader.batch_size"
            ) from error
        if text.startswith("Expected more than 1 value per channel"):
            loader = runner.train_dataloader
            raise ValueError(
                f"batch normalization needs two or more values per channel, but a batch of {batch_size(loader)} "
                f"of {len(loader.dataset)} examples gives one: set train_dataloader.batch_size to 2 or more, and train "
                "on at least as many examples"
            ) from error
        if (failed := failed_worker(error)) is not None:
            raise ValueError(failed) from error
        raise


@contextmanager
def test_accidents_explained(runner: Runner) -> Iterator[None]:
    """Around the test of a trained detector, whose weights are saved; an interrupt is logged and continues its way.

    Raises:
        DiskFull: see :func:`ccrop.files.full_disk_explained`.
        ChildProcessError: a data-loading worker was killed.
    """
    try:
        with full_disk_explained(runner.work_dir, advice=how_to_resume()):
            yield
    except (KeyboardInterrupt, Exception) as error:
        _explain_end(runner, error, "test_dataloader", " in the test")
        raise


def _explain_end(runner: Runner, error: BaseException, section: str, place: str) -> None:
    """Raise again what ended a run from outside, an interrupt or the death of a worker, with what to do.

    Args:
        section: of the config that sets the workers.
        place: where in the run, for the log.
    """
    if is_interrupt(error):
        runner.logger.warning(f"Interrupted{place} after {counted(runner.iter, 'iteration')}: {how_to_resume()}")
        raise KeyboardInterrupt from error
    if isinstance(error, LOST) and current_thread() is main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # otherwise torch's handler raises at an arbitrary place
    if is_dead_worker(error) or _lost_a_worker(error):
        fewer = f"lower {section}.num_workers or batch_size"
        raise ChildProcessError(dead_worker(error, fewer, how_to_resume())) from error


def _lost_a_worker(error: BaseException) -> bool:
    """Whether the connection over which a worker hands over its tensors broke, before torch noticed its death."""
    files = (Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__))
    return isinstance(error, LOST) and any(
        (file.parent.name, file.name) == ("multiprocessing", "connection.py") for file in files
    )
