"""The door of all commands: errors in a line, configs by name, and ``ccrop COMMAND``."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from jobs import ROOT

from ccrop import __version__
from ccrop.__main__ import main
from ccrop.cli import command, command_parser
from ccrop.compat.safe_checkpoint import UntrustedCheckpoint
from ccrop.files import write_bytes


@pytest.fixture(autouse=True)
def tool_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/tools/train.py"])


def raising(error: BaseException):
    @command
    def raise_it(argv):
        raise error

    return raise_it


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("a.jpg does not exist"),
        ValueError("a.jpg does not exist"),
        ImportError("a.jpg does not exist"),
        UntrustedCheckpoint("a.jpg does not exist"),
    ],
)
def test_a_foreseen_error_is_its_message(error: Exception, capsys: pytest.CaptureFixture):
    assert raising(error)([]) == 2
    assert capsys.readouterr() == ("", "train.py: a.jpg does not exist\n")


def test_an_unforeseen_error_is_a_line_with_its_place(capsys: pytest.CaptureFixture):
    assert raising(RuntimeError("size mismatch:\n  3 and 4"))([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"train.py: RuntimeError: size mismatch: 3 and 4 ({__file__}, line ")
    assert line.endswith("--debug shows the traceback")


def test_a_killed_worker_is_a_line_with_what_to_do(capsys: pytest.CaptureFixture):
    assert raising(RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"))([]) == 2
    assert capsys.readouterr().err == (
        "train.py: a data-loading worker died early (DataLoader worker (pid(s) 7) exited unexpectedly), most likely "
        "for lack of memory: use fewer workers, and run the same command again\n"
    )


def test_an_interruption_is_a_line(capsys: pytest.CaptureFixture):
    assert raising(KeyboardInterrupt())([]) == 130
    assert capsys.readouterr().err == "train.py: interrupted\n"
    assert raising(KeyboardInterrupt("go on"))([]) == 130
    assert capsys.readouterr().err == "train.py: interrupted: go on\n"


@pytest.mark.parametrize(
    ("number", "name", "line"),
    [
        (errno.EROFS, "runs/.lock", "runs: the file system is read-only: choose another folder to write to"),
        (errno.EROFS, "out/.partial.7.x.png", "out: the file system is read-only: choose another folder to write to"),
        (errno.EACCES, b"a/b.csv", "a/b.csv: permission denied: change its rights, or choose another path"),
        (errno.ENOTDIR, "file/run", "file/run: a part of this path is a file, not a folder: choose another path"),
        (errno.EIO, "a.jpg", "a.jpg: Input/output error"),
        (errno.ENOSPC, None, "no space left: make room and run the command again"),
        (
            errno.EFBIG,
            None,
            "larger than a file may be: raise the limit (ulimit -f) and run the command again",
        ),
    ],
)
def test_what_the_system_refuses_is_said_without_its_number(number: int, name, line: str, capsys):
    assert raising(OSError(number, os.strerror(number), name))([]) == 2
    assert capsys.readouterr().err == f"train.py: {line}\n"


def test_a_file_that_cannot_get_its_name_is_known_by_it(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(IsADirectoryError) as refused:
        write_bytes(tmp_path / "page.html", b"page")
    assert raising(refused.value)([]) == 2
    assert capsys.readouterr().err == f"train.py: {tmp_path}/page.html: it is a folder: name a file\n"


def test_debug_leaves_the_traceback_and_is_no_argument():
    seen = []

    @command
    def fail(argv):
        seen.extend(argv)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail(["one", "--debug", "--two"])
    assert seen == ["one", "--two"]


def test_a_command_reads_the_command_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["train.py", "a", "b"])
    assert command(len)() == 2


@pytest.mark.parametrize(
    ("program", "example"),
    [("/tools/make_demo_data.py", "python tools/make_demo_data.py DIR"), ("ccrop x", "ccrop make-demo-data DIR")],
)
def test_examples_name_the_command_as_it_was_called(program: str, example: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", [program])
    help_text = command_parser("Make.\n\n    python tools/make_demo_data.py DIR").format_help()
    assert f"\n    {example}\n" in help_text
    assert "--debug" in help_text


def test_ccrop_lists_the_tools(capsys: pytest.CaptureFixture):
    assert main(["--help"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed == sorted(file.stem.replace("_", "-") for file in (ROOT / "tools").glob("*.py"))


def test_ccrop_says_its_version(capsys: pytest.CaptureFixture):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ccrop {__version__}\n"


def test_ccrop_runs_a_tool(capsys: pytest.CaptureFixture):
    assert main(["plot", "nowhere"]) == 2
    assert capsys.readouterr().err == "ccrop plot: nowhere holds no run's TensorBoard log\n"


def test_a_misspelt_command_is_a_line(capsys: pytest.CaptureFixture):
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == "ccrop: unknown command trian; did you mean train?\n"
    assert main(["xyz"]) == 2
    assert capsys.readouterr().err == "ccrop: unknown command xyz; ccrop --help lists all commands\n"


@pytest.mark.parametrize("text", ["-1", str(2**32), "1.5", "one"])
@pytest.mark.parametrize(
    "arguments",
    [["split", "set", "out", "--seed"], ["make-demo-data", "out", "--seed"], ["compare", "c.py", "--seeds", "0"]],
    ids=lambda arguments: arguments[0],
)
def test_a_seed_that_no_generator_takes_is_a_wrong_argument(arguments: list[str], text: str, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, text])
    assert stopped.value.code == 2
    assert f": {text} is not a whole number from 0 to 2^32 - 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["make-demo-data", "out", "--train", "0"], "--train: 0 is not a whole number of at least 1"),
        (
            ["make-demo-data", "out", "--sequences", "--workers", "-3"],
            "--workers: -3 is not a whole number of at least",
        ),
        (["make-demo-data", "out", "--val", "-1"], "--val: -1 is not a whole number of at least 0"),
        (["compare", "--csv", "."], "--csv . is a folder: name a file in it"),
        (["visualize", "x.pth", "--out", "sheet"], "sheet must name a file that ends in .png, .jpg, .jpeg"),
        (["plot", "run", "--out", "curves.csv"], "curves.csv must name a file that ends in .png, .jpg, .jpeg, .pdf"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_numbers_and_places_that_cannot_be_are_wrong_arguments(arguments: list[str], message: str, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_names_of_files_with_odd_bytes_are_printed_escaped(capsys: pytest.CaptureFixture[str]):
    @command
    def main(argv: Sequence[str] | None = None) -> int:
        print("read caf\udce9")
        raise ValueError("caf\udce9\x1b[31m.jpg: it is empty\nremove it")

    assert main([]) == 2
    found = capsys.readouterr()
    assert found.out == "read caf\\udce9\n"
    assert found.err.endswith(": caf\\udce9\\x1b[31m.jpg: it is empty\nremove it\n")


def test_an_interrupt_that_a_library_turned_into_an_error_is_one(capsys: pytest.CaptureFixture[str]):
    error = SyntaxError("Failed to format the config file")
    error.__context__ = KeyboardInterrupt()
    assert raising(error)([]) == 130
    assert capsys.readouterr().err == "train.py: interrupted\n"


def test_an_error_in_a_data_loading_worker_is_its_last_line(capsys: pytest.CaptureFixture[str]):
    text = "Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File\n"
    assert raising(RuntimeError(f"{text}RuntimeError: unable to resize </torch_7>\n"))([]) == 2
    assert capsys.readouterr().err.endswith(
        ": a data-loading worker failed: RuntimeError: unable to resize </torch_7>\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["embed", "x.pth", str(ROOT), "{}/vectors.npz"],
        ["visualize", "x.pth", "--out", "{}/sheet.png"],
        ["evaluate", "linear", "x.pth", "--out", "{}"],
        ["evaluate", "boxes", "x.pth", "--csv", "{}/boxes.csv"],
    ],
    ids=["embed", "visualize", "evaluate-out", "evaluate-csv"],
)
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """There is no x.pth either, which would be said later."""
    (tmp_path / "file").touch()
    assert main([each.format(tmp_path / "file") for each in arguments]) == 2
    said = f"ccrop {arguments[0]}: {tmp_path}/file: a part of this path is a file, not a folder: choose another path\n"
    assert capsys.readouterr().err == said
    place = str(tmp_path / "new")
    assert main([each.format(place) for each in arguments]) == 2
    assert "x.pth" in capsys.readouterr().err
    assert list((tmp_path / "new").iterdir()) == []


def test_a_file_that_is_not_there_is_a_line_with_what_to_do(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(FileNotFoundError) as absent:
        Path("/proc/nowhere").mkdir()
    assert raising(absent.value)([]) == 2
    assert capsys.readouterr().err == "train.py: /proc/nowhere: no such file or folder: check the path\n"
