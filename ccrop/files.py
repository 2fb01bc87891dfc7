"""Files and folders written atomically: under a temporary name next to the final one, then renamed."""

import errno
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

PARTIAL = ".partial."  # before the name of a file that is being written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written(path: str | Path, needed: int | None = None, advice: str = "run the command again") -> Iterator[Path]:
    """The name to write a file under, with the same suffix; when that is done, it is renamed to ``path``.

    After an error or a kill, ``path`` is unchanged.

    Args:
        needed: bytes to write, if known.
        advice: what to do once there is room.

    Raises:
        OSError: the disk is full; says what was to be written, how much it takes and how much is free.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{PARTIAL}{os.getpid()}.{path.name}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        present = partial.stat().st_size if partial.exists() else 0
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in FULL:
            takes = f"more than {present / 1e6:.0f}" if needed is None else f"{needed / 1e6:.0f}"
            free = shutil.disk_usage(path.parent).free / 1e6
            raise OSError(
                error.errno,
                f"no room for {path}: {takes} MB to write, {free:.0f} MB free. Files written earlier are complete; "
                f"make room and {advice}",
            ) from error
        raise


def write_bytes(path: str | Path, content: bytes, advice: str = "run the command again") -> None:
    """Write a file, see :func:`written`."""
    with written(path, len(content), advice) as partial:
        partial.write_bytes(content)


def write_json(path: str | Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, see :func:`written`."""
    write_bytes(path, json.dumps(content, indent=indent).encode())


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A folder to write to, which gets its name when everything is written, so it is complete or absent.

    Raises:
        FileExistsError: the path exists.
    """
    out = Path(out)
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f"{PARTIAL}{os.getpid()}.{out.name}")
    for left in out.parent.glob(f"{PARTIAL}*.{out.name}"):  # by processes that were killed
        if not _alive(left.name.removeprefix(PARTIAL).partition(".")[0]):
            shutil.rmtree(left, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def refuse_existing(out: Path) -> None:
    """Before long work whose result goes to a new folder.

    Raises:
        FileExistsError: the path exists.
    """
    if os.path.lexists(out):
        raise FileExistsError(f"{out} exists: choose another folder, or remove it")


def remove_partial(folder: Path) -> None:
    """Remove partial files of killed processes under a folder that no process uses."""
    for file in list(folder.rglob(f"{PARTIAL}*")):
        if file.is_dir():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)


def temporary_folder(prefix: str) -> TemporaryDirectory[str]:
    """A folder that is removed when the process ends, or if it is killed, by the next such call on this machine."""
    own = f"{prefix}{socket.gethostname()}-"  # a process of another machine, or container, cannot be looked up
    for left in Path(gettempdir()).iterdir():
        if left.name.startswith(own) and not _alive(left.name.removeprefix(own).partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    return TemporaryDirectory(prefix=f"{own}{os.getpid()}-")


def _alive(pid: str) -> bool:
    """Whether there is such a process on this machine."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True
