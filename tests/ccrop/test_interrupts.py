"""Ctrl-C while a command imports."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from jobs import environment, tool

COMMANDS = ("compare", "convert", "embed", "evaluate", "export", "finetune", "plot", "predict", "split", "train")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_import_is_a_line(name: str, tmp_path: Path):
    """The first package that is not Python's own takes a second to import, and is interrupted here."""
    package = tmp_path / "mmengine"
    package.mkdir()
    (package / "__init__.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    done = subprocess.run(
        tool(f"{name}.py", "--help"), env=environment() | dict(PYTHONPATH=path), capture_output=True, text=True
    )
    assert done.stderr == f"{name}.py: interrupted\n"
    assert done.returncode in (-signal.SIGINT, 130)  # which a shell shows as 130


def test_another_error_at_import_keeps_its_traceback(tmp_path: Path):
    package = tmp_path / "mmengine"
    package.mkdir()
    (package / "__init__.py").write_text("1 / 0")
    path = os.pathsep.join((str(tmp_path), environment()["PYTHONPATH"]))
    done = subprocess.run(
        tool("embed.py", "--help"), env=environment() | dict(PYTHONPATH=path), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
