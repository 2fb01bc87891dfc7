"""Files and folders written atomically: under a temporary name next to the final one, then renamed."""

import csv
import errno
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

PARTIAL = ".partial."  # before the name of a file that is being written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# of a full disk, from libraries that give no number: those in Rust, NumPy's tofile, torch.save
SIGNS = re.compile(
    r"No space left on device|Disk quota exceeded|File too large \(os error|\d+ requested and \d+ written"
    r"|PytorchStreamWriter failed writing|unexpected pos \d+ vs \d+|iostream error"
)
UNTOUCHED = 3600.0  # seconds, after which a partial file is not one of a process on another machine


class DiskFull(OSError):
    """There is no room for a file; says which, how much it takes and how much is free."""


@contextmanager
def full_disk_explained(
    path: str | Path, partial: Path | None = None, needed: int | None = None, advice: str = "run the command again"
) -> Iterator[None]:
    """A full disk becomes an error that says what was to be written, how much it takes and how much is free.

    Args:
        path: of the file or folder to write.
        partial: what is there of it, if it has another name.
        needed: bytes to write, if known.
        advice: what to do once there is room.

    Raises:
        DiskFull: the disk is full.
    """
    path = Path(path)
    try:
        yield
    except Exception as error:
        if isinstance(error, DiskFull) or not _is_full(error):
            raise
        begun = _size(partial or path)
        takes = (
            _amount(needed) if needed is not None else f"more than {_amount(begun)}" if begun else "an unknown amount"
        )
        removed = 0 if partial is None else _size(partial)  # by the caller, which starts again from nothing
        free = _amount(shutil.disk_usage(path.parent).free + removed)
        raise DiskFull(
            getattr(error, "errno", None) or errno.ENOSPC,
            f"no room for {path}: {takes} to write, {free} free. Files written earlier are complete; "
            f"make room and {advice}",
        ) from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return SIGNS.search(str(error)) is not None


def _amount(size: int) -> str:
    """Bytes in MB, or kB if that is less than one."""
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


@contextmanager
def written(path: str | Path, needed: int | None = None, advice: str = "run the command again") -> Iterator[Path]:
    """The name to write a file under, with the same suffix; when that is done, it is renamed to ``path``.

    After an error or a kill, ``path`` is unchanged. A link stays one: the file that it leads to is written.

    Args:
        needed: bytes to write, if known.
        advice: what to do once there is room.

    Raises:
        DiskFull: see :func:`full_disk_explained`.
        ValueError: ``path`` is a device, a pipe or a socket, which a renamed file would replace.
    """
    path = Path(path)
    _refuse_devices(path)
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path)
    partial = _partial(path)
    try:
        with full_disk_explained(path, partial, needed, advice):
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, content: bytes, advice: str = "run the command again") -> None:
    """Write a file, see :func:`written`."""
    with written(path, len(content), advice) as partial:
        partial.write_bytes(content)


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a CSV file with the columns of the first row, see :func:`written`."""
    with written(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: str | Path, content: Any, indent: int | None = None) -> None:
    """Write a JSON file, see :func:`written`."""
    write_bytes(path, json.dumps(content, indent=indent).encode())


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A folder to write to, which gets its name when everything is written, so it is complete or absent.

    Raises:
        FileExistsError: the path exists.
        DiskFull: see :func:`full_disk_explained`.
    """
    out = Path(out)
    refuse_existing(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(out)
    partial = _partial(out)
    partial.mkdir()
    try:
        with full_disk_explained(out, partial):
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


def require_place(path: str | Path) -> None:
    """Before long work whose result goes to a file: make its folder, and see that a file can be written there.

    Raises:
        OSError: it cannot.
        ValueError: see :func:`written`.
    """
    path = Path(path)
    _refuse_devices(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    partial.touch()
    partial.unlink()


def _refuse_devices(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is not a file, but a device, a pipe or a socket: choose another path")


def escaped(text: str) -> str:
    """A text for a terminal or a log, in which names of files may hold control characters and bytes that are not UTF-8:
    these are escaped; line breaks and tabs stay.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _partial(path: Path) -> Path:
    """The name of a file or folder while this process writes it."""
    return path.with_name(f"{PARTIAL}{os.getpid()}.{path.name}")


def _remove_left(path: Path) -> None:
    """Remove what killed processes left of a file or folder."""
    for left in path.parent.glob(f"{PARTIAL}*.{escape(path.name)}"):
        number, _, name = left.name.removeprefix(PARTIAL).partition(".")
        if name == path.name and not _alive(number) and (left.is_dir() or _age(left) > UNTOUCHED):
            _remove(left)


def _age(file: Path) -> float:
    """Seconds since a file was written to; 0 if it is gone."""
    try:
        return time.time() - file.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_partial(folder: Path) -> None:
    """Remove partial files of killed processes under a folder that no process uses."""
    for file in list(folder.rglob(f"{PARTIAL}*")):
        _remove(file)


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
