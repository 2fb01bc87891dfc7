"""Generated data sets: written completely or not at all, and never over anything else."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from ccrop.files import full_disk_explained

RECIPE = "demo.json"  # what a generated set was made from
DRAFT = ".partial-"  # in the name of the folder that a set is made in


def generate(root: str | Path, recipe: dict[str, Any], files: str, fill: Callable[[Path], None]) -> None:
    """Make a data set in ``root``, which appears when it is complete; an existing one made by the same recipe is kept.

    If two processes make the same set, one waits for the other. Leftovers of a killed one are removed.

    Args:
        recipe: everything that the set depends on, with ``num_train`` and ``num_val``.
        files: pattern of these training and validation examples in the folder.
        fill: writes the set into an empty folder.

    Raises:
        FileExistsError: ``root`` exists and is something else.
        DiskFull: see :func:`ccrop.files.full_disk_explained`.
    """
    root = Path(root).absolute()
    if _is_complete(root, recipe, files):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with _alone(root.parent):
        if _is_complete(root, recipe, files):
            return
        for left in root.parent.glob(f"{escape(root.name)}{DRAFT}*"):
            rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=f"{root.name}{DRAFT}", dir=root.parent) as work:
            draft = Path(work) / root.name
            with full_disk_explained(root, draft):
                draft.mkdir()
                fill(draft)
                (draft / RECIPE).write_text(json.dumps(recipe))
                draft.replace(root)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes a set in a folder; the kernel frees the lock of one that is killed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # of file systems without locks of folders
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_complete(root: Path, recipe: dict[str, Any], files: str) -> bool:
    """Whether ``root`` is the set; False if there is nothing yet."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / RECIPE).read_text())
    except (OSError, ValueError):
        found = "not a demo set"
    if found == recipe:
        if len(list(root.glob(files))) == recipe["num_train"] + recipe["num_val"]:
            return True
        found = "a demo set with missing files"
    raise FileExistsError(
        f"{root} exists and is {found}, not the demo set {recipe}: choose another folder, or move this one away"
    )
