"""Help is there at once: no tool imports what takes seconds before its arguments are known."""

from pathlib import Path

import pytest
from jobs import ROOT, run, tool

SLOW = {"matplotlib", "mmcv", "mmdet", "mmengine.runner", "open3d", "scipy", "tensorboard", "timm", "torch"}


@pytest.mark.parametrize("name", sorted(file.name for file in (ROOT / "tools").glob("*.py")))
def test_help_imports_nothing_slow(name: str, tmp_path: Path):
    done = run(tool(name, "--help", before=("-X", "importtime")), tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"usage: {name}" in done.stdout
    imported = {line.split("|")[-1].strip() for line in done.stdout.splitlines() if line.startswith("import time:")}
    assert "argparse" in imported
    assert not imported & SLOW
