"""A run's folder: only one run at a time works in it, and an earlier run is moved aside."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmengine.dist import broadcast_object_list, is_main_process

from ccrop.files import remove_partial

LOCK = ".lock"  # the file of a work_dir that a live run holds
METRICS = "metrics.json"  # of a detector; a finished run has it
_held: set[IO[str]] = set()
# a forked data worker that outlives a killed run would keep its lock
os.register_at_fork(after_in_child=lambda: [file.close() for file in _held])


class WorkDirInUse(OSError):
    """Another run works in this folder."""


@contextmanager
def locked(work_dir: str | Path) -> Iterator[None]:
    """Hold a work_dir, which is made if need be; the main process holds it for all processes of a job.

    The kernel frees the lock (flock) when the process ends, however it ends, so a killed run leaves none.

    Files that a killed run left half-written are removed.

    Raises:
        WorkDirInUse: another live run holds it; raised in every process of the job.
    """
    lock = None
    refusal: list[str | None] = [None]
    if is_main_process():
        try:
            lock = _acquire(Path(work_dir))
        except WorkDirInUse as error:
            refusal = [str(error)]
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise WorkDirInUse(refusal[0])
    try:
        if lock is not None:
            remove_partial(Path(work_dir))
        yield
    finally:
        if lock is not None:
            if _is_at(lock, Path(work_dir, LOCK)):
                Path(work_dir, LOCK).unlink()  # before it is free: afterwards it may be another run's
            _held.discard(lock)
            lock.close()


def set_aside(
    work_dir: Path, remark: str = "--resume would have continued it", sources: Sequence[str | Path | None] = ()
) -> None:
    """Rename the folder of an earlier run, so that nothing of it is overwritten; a lock stays with the old name.

    Args:
        remark: on the earlier run, for the message.
        sources: what the new run reads after that.

    Raises:
        ValueError: a source is a file of the earlier run.
    """
    for source in sources:
        if source and Path(source).resolve().is_relative_to(work_dir.resolve()):
            raise ValueError(f"{source} is in {work_dir}, which would be moved aside: choose another --work-dir")
    number = 1
    while (aside := work_dir.with_name(f"{work_dir.name}.{number}")).exists():
        number += 1
    work_dir.rename(aside)
    if (aside / LOCK).exists():
        work_dir.mkdir()
        (aside / LOCK).rename(work_dir / LOCK)
    print(f"{work_dir} held an earlier run, which was moved to {aside} ({remark})")


def _acquire(work_dir: Path) -> IO[str]:
    work_dir.mkdir(parents=True, exist_ok=True)
    path = work_dir / LOCK
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            raise WorkDirInUse(
                f"{work_dir} is in use by {owner}: wait until it ends, or choose another --work-dir"
            ) from None
        except OSError as error:
            print(f"{work_dir} cannot be locked ({error.strerror}): nothing prevents a second run from using it")
            break
        if _is_at(file, path):
            break
        file.close()  # its owner ended, or was moved aside, between our opening and locking it
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
    file.flush()
    _held.add(file)
    return file


def _is_at(file: IO[str], path: Path) -> bool:
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def metrics_file(work_dir: str | Path) -> Path:
    """Where a finished detector's metrics are: in :data:`METRICS`, or in the file of earlier versions of ccrop."""
    former = Path(work_dir, "figures.json")
    return former if former.exists() else Path(work_dir, METRICS)
