"""Memory that all processes of a node share: its ranks, and their data-loading workers however these are started."""

import errno
import mmap
import os
import shutil
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any

from mmengine.dist import all_gather_object

SHARED = "/dev/shm"  # Linux's file system in memory


class NodeMemory:
    """Zeroed bytes of which a node has one copy, or this process and its workers have one.

    They lie in a file in memory whose name is removed as soon as all ranks of the node have opened it: it is gone with
    the last process, even if that is killed. Where there is no ``/dev/shm``, it is a temporary file on disk. Ranks that
    do not see the file of their node's first rank, in containers of their own, have a copy each.

    Args:
        num_bytes: at least 1.
        alone: of this process and its workers; otherwise collective: every rank must make it.

    Attributes:
        is_first: this process is the one of its copy that writes what all have in common.
        copies: how many there are in the run: as many as nodes.

    Raises:
        OSError: there is not so much shared memory.
    """

    def __init__(self, num_bytes: int, alone: bool = False) -> None:
        self.num_bytes = num_bytes
        first = alone or int(os.environ.get("LOCAL_RANK", 0)) == 0
        self._file, path = _new_file(num_bytes) if first else (-1, None)
        try:
            paths = [path] if alone else all_gather_object(path)
            seen = [each for each in paths if each is not None and os.path.exists(each)]
            if path is None and seen:
                self._file = os.open(seen[0], os.O_RDWR)
            elif path is None:
                self._file, path = _new_file(num_bytes)
            self.is_first = path is not None
            self.copies = (
                1 if alone else sum(all_gather_object(self.is_first))
            )  # by then every rank has opened its file
        finally:
            if path is not None:
                os.unlink(path)
        self.buffer = mmap.mmap(self._file, num_bytes)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | dict(_file=DupFd(self._file), buffer=None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._file = state["_file"].detach()
        self.buffer = mmap.mmap(self._file, self.num_bytes)

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)


def _new_file(num_bytes: int) -> tuple[int, str]:
    """Descriptor and path of a new file of zeros, for which there is room."""
    folder = SHARED if os.path.isdir(SHARED) else tempfile.gettempdir()
    file, path = tempfile.mkstemp(prefix="ccrop-", dir=folder)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, num_bytes)
        else:
            os.ftruncate(file, num_bytes)
    except OSError as error:
        os.close(file)
        os.unlink(path)
        if error.errno != errno.ENOSPC:
            raise
        raise OSError(
            errno.ENOSPC,
            f"the boxes of all images take {num_bytes / 1e6:.0f} MB of shared memory, and {folder} has "
            f"{shutil.disk_usage(folder).free / 1e6:.0f} MB free: give it more (docker run --shm-size), or lower the "
            "localizer's max_boxes",
        ) from error
    return file, path
