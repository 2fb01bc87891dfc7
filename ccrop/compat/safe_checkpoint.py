"""Checkpoints that are loaded without executing code and written atomically.

MMEngine falls back to full unpickling when a file does not load safely, allows ``getattr`` while it loads, and writes
in place. :func:`install_safe_checkpoints` replaces both loading and saving for MMEngine and for whatever loads through
it (mmdet).
"""

import argparse
import errno
import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import safetensors.torch
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.handlers import file_handlers
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from ccrop.files import write_bytes
from ccrop.resume_advice import how_to_resume

PICKLES = ("pkl", "pickle")  # file types that MMEngine reads by unpickling


class UntrustedCheckpoint(ValueError):
    """A checkpoint that cannot be loaded without executing its own code, or that is damaged."""


def _history_method(owner: type, name: str) -> Any:
    """``getattr`` as a pickled HistoryBuffer needs it: only for its four statistics."""
    if owner is HistoryBuffer and name in ("min", "max", "current", "mean"):
        return getattr(owner, name)
    raise UnpicklingError(f"getattr({owner!r}, {name!r})")


NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # of NumPy 1 and 2: each reads the other's files
SAFE_GLOBALS = [
    HistoryBuffer,
    (_history_method, "builtins.getattr"),
    argparse.Namespace,  # the command-line arguments that DINO, MAE and others store
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
    *((np.empty(0).__reduce__()[0], f"{module}._reconstruct") for module in NUMPY_MODULES),
    *((np.float64(0).__reduce__()[0], f"{module}.scalar") for module in NUMPY_MODULES),
]


def load_checkpoint(path: str | os.PathLike, map_location: Any = "cpu") -> dict[str, Any]:
    """Load a file of tensors, plain containers, arrays and MMEngine's log buffers, never anything else.

    Args:
        path: a file of ``torch.save``, or of safetensors if it is named ``*.safetensors``.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        UntrustedCheckpoint: it holds other objects, or is not a complete checkpoint; none of it was executed.
    """
    path = Path(path).expanduser()
    refuse_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path, device=str(map_location or "cpu"))
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location=map_location, weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # the unpickler raises nearly anything on damaged files
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # torch looks before the start of a cut file
            raise
        cause = error.__context__ or error  # torch wraps it in advice to load the file unchecked
        reason = (str(cause).strip().splitlines() or [""])[0].split(". ")[0] or type(cause).__name__
        raise UntrustedCheckpoint(
            f"checkpoint {path} was not loaded: it is damaged, or holds objects that would run code ({reason}). "
            "If you trust its source, load it yourself and save only its tensors."
        ) from error


def refuse_folder(path: Path) -> None:
    """Refuse a folder where a checkpoint is expected.

    Raises:
        IsADirectoryError: names the latest checkpoint in it.
    """
    if path.is_dir():
        newest = max(path.glob("*.pth"), key=lambda file: file.stat().st_mtime, default=path / "epoch_1.pth")
        raise IsADirectoryError(f"{path} is a folder: pass a checkpoint, such as {newest}")


class AtomicLocalBackend(LocalBackend):
    """Files are written by :func:`ccrop.files.write_bytes`, so a kill leaves the old file or the new one."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_bytes(filepath, bytes(obj), how_to_resume())

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        write_bytes(filepath, obj.encode(encoding), how_to_resume())


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """:func:`load_checkpoint` under the name and arguments that MMEngine's loader registry requires.

    A text ``meta['config']``, which MMEngine itself no longer writes, is removed: its runner would execute it as
    Python.
    """
    checkpoint = load_checkpoint(filename, map_location)
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get("meta"), dict):
        checkpoint["meta"].pop("config", None)
    return checkpoint


def refuse_remote(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Replaces MMEngine's remote loaders, which would execute a checkpoint's code.

    Raises:
        UntrustedCheckpoint: always.
    """
    raise UntrustedCheckpoint(f"checkpoint {filename} was not loaded: download it, and pass the file")


def install_safe_checkpoints() -> None:
    """Make MMEngine read only local checkpoints, with :func:`load_checkpoint`, no pickles, and write atomically."""
    for prefix in list(CheckpointLoader._schemes):
        CheckpointLoader.register_scheme(prefixes=prefix, loader=refuse_remote, force=True)
    CheckpointLoader.register_scheme(prefixes="", loader=load_from_local, force=True)
    for kind in PICKLES:
        file_handlers.pop(kind, None)
    register_backend("local", AtomicLocalBackend, force=True, prefixes="")
