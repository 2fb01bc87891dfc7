"""Start-up time: from a command to its help, and to the first iteration of the demo."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import ccrop
from ccrop.datasets.demo import make_demo_set
from ccrop.tools.benchmarks.timing import Comparison

DEMO = 128, 32  # training and validation images
# the command, stopped after its first training batch
FIRST_ITERATION = """
import sys
from ccrop.hooks import ProgressHook
from ccrop.tools import train
ProgressHook.after_train_iter = lambda *_, **__: sys.exit(0)
sys.exit(train.main(sys.argv[1:]))
"""


def comparisons() -> Iterator[Comparison]:
    with TemporaryDirectory() as folder:
        python = partial(in_python, Path(folder))
        floor = {"import torch, torchvision": partial(python, "-c", "import torch, torchvision")}
        yield Comparison("ccrop train --help", partial(python, "-m", "ccrop", "train", "--help"), floor, "ms per start")
        make_demo_set(Path(folder, "demo"), *DEMO, workers=1)
        arguments = ("simsiam_region_demo", "--data-root", "demo", "--work-dir", "work")
        yield Comparison(
            f"ccrop train, to the first iteration on {DEMO[0]} demo images",
            partial(python, "-c", FIRST_ITERATION, *arguments),
            floor,
            "ms per start",
        )


def in_python(folder: Path, *arguments: str) -> None:
    """Run an interpreter in a folder, on one thread and with this ccrop."""
    package = Path(ccrop.__file__).parents[1]
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    environment = os.environ | dict(OMP_NUM_THREADS="1", PYTHONPATH=path)
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with code {done.returncode}: {done.stderr[-500:]}")
