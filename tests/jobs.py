"""The project's commands as a test starts them, on jobs small enough to run whole in seconds."""

import os
import subprocess
import sys
from pathlib import Path

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


def tool(name: str, *arguments: str | Path, before: tuple[str, ...] = ()) -> list[str]:
    """The command line of a tool, with Python's own arguments ``before`` it."""
    return [sys.executable, *before, str(ROOT / "tools" / name), *map(str, arguments)]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end; stdout and stderr come back together."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
