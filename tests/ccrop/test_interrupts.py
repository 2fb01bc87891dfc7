"""Ctrl-C while a command imports, and SIGTERM."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import environment, tool

from ccrop.cli import command
from ccrop.files import new_folder, written

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


def test_sigterm_is_a_line_and_leaves_nothing_half_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["tools/embed.py"])

    @command
    def write(argv):
        with new_folder(tmp_path / "set") as folder, written(folder / "vectors.npz") as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    assert write([]) == 143
    assert capsys.readouterr() == ("", "embed.py: terminated\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_sigterm_says_how_to_continue(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["tools/compare.py"])

    @command
    def compare(argv):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("run the same command again") from error

    assert compare([]) == 143
    assert capsys.readouterr().err == "compare.py: terminated: run the same command again\n"


def test_forked_processes_end_at_sigterm_as_usual():
    """Pools and data loaders end their workers so."""

    @command
    def fork(argv):
        if (child := os.fork()) == 0:
            signal.pause()
        os.kill(child, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert fork([]) == -signal.SIGTERM


def test_an_interrupt_that_a_destructor_swallowed_comes_again():
    program = """
import signal
import time
import ccrop.interrupts

signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in a shell's background ignore it

class Swallowing:
    def __del__(self):
        raise KeyboardInterrupt

Swallowing()
time.sleep(60)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=50
    )
    assert done.stderr == "-c: interrupted\n"
    assert done.returncode in (-signal.SIGINT, 130)
