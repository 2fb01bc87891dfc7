"""Help is there at once: no tool imports what takes seconds before its arguments are known."""

import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

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


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("evaluate", "knn", "--help")], ids=" ".join)
def test_ccrop_helps_within_a_second_of_cpu(arguments: tuple[str, ...], tmp_path: Path):
    before = getrusage(RUSAGE_CHILDREN)
    done = run([sys.executable, "-m", "ccrop", *arguments], tmp_path)
    after = getrusage(RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout
    assert f"usage: ccrop {' '.join(arguments[:-1])}" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
