"""The checkpoints of a work_dir, by number."""

import re
from pathlib import Path

from ccrop.compat.safe_checkpoint import refuse_folder


def checkpoints(work_dir: str | Path) -> list[Path]:
    """The epoch or iteration checkpoints of a work_dir by number; each is complete, being renamed into place."""
    files = [file for file in Path(work_dir).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", file.stem)]
    return sorted(files, key=lambda file: int(file.stem.split("_")[1]))


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Path of a work_dir's checkpoint with the highest number, if there is one."""
    files = checkpoints(work_dir)
    return str(files[-1]) if files else None


def checkpoint_to_resume(work_dir: str | Path, resume: str | None) -> str | None:
    """The checkpoint that ``--resume`` means: the newest in the work_dir for ``'auto'``, a given one, or None.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
    """
    if resume == "auto":
        return latest_checkpoint(work_dir)
    if resume is not None:
        refuse_folder(Path(resume))
    if resume is not None and not Path(resume).is_file():
        raise FileNotFoundError(f"checkpoint {resume} does not exist")
    return resume
