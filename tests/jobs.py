"""The project's commands as a test starts them, on jobs small enough to run whole in seconds."""

import contextlib
import io
import multiprocessing
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.utils import ManagerMixin
from torch.multiprocessing import start_processes

Once = Callable[[str, Callable[[Path], None]], Path]
ROOT = Path(__file__).resolve().parents[1]
TINY = (
    "--cfg-options",
    "model.backbone.depth=18",
    "model.backbone.base_channels=8",
    "model.backbone.stem_channels=8",
    "model.channels=64",
    "model.bottleneck=16",
    "train_dataloader.dataset.pipeline.0.size=32",
    "train_dataloader.batch_size=16",
    "train_cfg.max_epochs=4",
)


def script(file: str | Path, *arguments: object, before: tuple[str, ...] = ()) -> list[str]:
    """The command line of a script of the project, with Python's own arguments ``before`` it."""
    return [sys.executable, *before, str(ROOT / file), *map(str, arguments)]


def tool(name: str, *arguments: object, before: tuple[str, ...] = ()) -> list[str]:
    return script(Path("tools", name), *arguments, before=before)


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end; stdout and stderr come back together.

    A process of its own starts and imports for seconds: :func:`call` does without, where none is killed or launched.
    """
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )


def call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """:func:`run` a command of :func:`script` in this process, of which it changes nothing that lasts."""
    output, code = io.StringIO(), 0
    with (
        pytest.MonkeyPatch.context() as patch,
        mock.patch.dict(os.environ),
        torch.random.fork_rng(devices=[]),
        fresh_mmengine(),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        patch.chdir(folder)
        patch.setattr(sys, "argv", command[1:])
        try:
            runpy.run_path(command[1], run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(command, code, output.getvalue())


def two_processes(function: Callable[..., None], *arguments: object) -> None:
    """Run ``function(rank, *arguments)`` as two processes at once.

    They come from a server that has imported what is slow, once for all tests of this process.
    """
    multiprocessing.set_forkserver_preload(["ccrop.backbones.mmdet_resnet"])
    start_processes(function, arguments, nprocs=2, start_method="forkserver")


@contextlib.contextmanager
def fresh_mmengine() -> Iterator[None]:
    """None of the loggers, message hubs, visualizers and scopes that MMEngine keeps by name, as in a new process."""
    kept = [(each, dict(each._instance_dict)) for each in managers(ManagerMixin)]
    for each, _ in kept:
        each._instance_dict.clear()
    try:
        yield
    finally:
        for logger in MMLogger._instance_dict.values():
            for handler in logger.handlers:
                handler.close()
        for each in managers(ManagerMixin):
            each._instance_dict.clear()
        for each, instances in kept:
            each._instance_dict.update(instances)


def managers(base: type) -> Iterator[type]:
    """The classes of which MMEngine keeps instances by name."""
    for each in base.__subclasses__():
        yield each
        yield from managers(each)
