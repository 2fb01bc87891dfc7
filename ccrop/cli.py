"""What the command lines of several tools have in common; imports nothing slow."""

import argparse
import errno
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import Protocol

from ccrop.interrupts import interrupted, termination_raised  # isort: split

from mmengine.config import DictAction

from ccrop.broken_pipe import ended_with_its_reader
from ccrop.compat.kept_memory import keep_memory
from ccrop.files import FULL, DiskFull, escaped
from ccrop.resume_advice import AGAIN, dead_worker, failed_worker, is_dead_worker, is_interrupt

INIT_HELP = "weights to start from: a file, timm:NAME, torchvision:NAME, or random"
BACKBONE_HELP = "instead of the config's: timm:NAME, torchvision:NAME or mmdet:resnetDEPTH"
DEBUG = "--debug"
DRAWINGS = (".png", ".jpg", ".jpeg", ".pdf", ".svg")  # that matplotlib writes
PACKAGE = Path(__file__).parent
# what the system refuses, and what to do about it
REFUSALS = {
    errno.EROFS: "the file system is read-only: choose another folder to write to",
    errno.EACCES: "permission denied: change its rights, or choose another path",
    errno.EPERM: "not permitted: change its rights, or choose another path",
    errno.ENOSPC: "no space left: make room and run the command again",
    errno.EFBIG: "larger than a file may be: raise the limit (ulimit -f) and run the command again",
    errno.EDQUOT: "the quota is used up: make room and run the command again",
    errno.ENOENT: "no such file or folder: check the path",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
    errno.EISDIR: "it is a folder: name a file",
    errno.EEXIST: "it exists: choose another path, or remove it",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n), or use fewer workers",
}


class Main(Protocol):
    """A command: from its arguments (default: those of the process) to its exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


class OptionsAction(DictAction):
    """Options ``K=V`` over a config, as a dictionary; one without ``=`` is a command-line error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: str | None = None,
    ) -> None:
        for value in values:
            if not value.partition("=")[0] or "=" not in value:
                parser.error(f"argument {option_string}: {value} is not of the form KEY=VALUE")
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:  # brackets that do not close
            parser.error(f"argument {option_string}: {error}")


def seed(text: str) -> int:
    """A seed on a command line, one that every generator takes.

    Raises:
        argparse.ArgumentTypeError: it is not a whole number from 0 to 2^32 - 1.
    """
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 2^32 - 1")
    return int(text)


def at_least(minimum: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number, ``minimum`` or more."""

    def whole(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {minimum}")
        return int(text)

    return whole


def positive(text: str) -> float:
    """The type of an argument that is a finite number above 0."""
    if not 0 < (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def not_negative(text: str) -> float:
    """The type of an argument that is a finite number, 0 or more."""
    if not 0 <= (value := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 0")
    return value


def _number(text: str) -> float:
    """A number on a command line, nan if the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def picture_file(*suffixes: str) -> Callable[[str], Path]:
    """The type of an argument that names a picture to write, in a format of one of these suffixes."""

    def picture(text: str) -> Path:
        if Path(text).is_dir() or Path(text).suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{text} must name a file that ends in {', '.join(suffixes)}")
        return Path(text)

    return picture


def add_picture(parser: argparse.ArgumentParser, default: str, suffixes: Sequence[str] = DRAWINGS) -> None:
    """Add ``--out``, the picture that a command writes."""
    parser.add_argument(
        "--out", type=picture_file(*suffixes), default=Path(default), metavar="FILE", help="default: %(default)s"
    )


def command_parser(description: str) -> argparse.ArgumentParser:
    """The parser of a command whose ``main`` is a :func:`command`, with its module's docstring as the description.

    Run as ``ccrop NAME``, it shows its examples in that form instead of ``python tools/NAME.py``.
    """
    prog = Path(sys.argv[0]).name
    if prog.startswith("ccrop "):
        description = re.sub(
            r"(?:python )?tools/(\w+)\.py", lambda found: f"ccrop {found[1].replace('_', '-')}", description
        )
    parser = argparse.ArgumentParser(
        prog=prog, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(DEBUG, action="store_true", help="show the traceback of an error")
    return parser


def command(main: Main) -> Main:
    """A command's ``main`` whose errors end it with one line, or with their traceback under ``--debug``.

    The exit code is 2 for what the user can fix (files, values, missing packages, and ccrop's own
    errors), 1 for anything else, 130 for Ctrl-C and 143 for SIGTERM.
    """

    @wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        keep_memory()
        arguments = list(sys.argv[1:] if argv is None else argv)
        debug = DEBUG in arguments
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # names of files may hold bytes that are not UTF-8
        try:
            with ended_with_its_reader(), termination_raised():
                return main([each for each in arguments if each != DEBUG])
        except KeyboardInterrupt as error:
            line, code = interrupted(error)
        except Exception as error:
            if debug:
                raise
            line, code = interrupted(error) if is_interrupt(error) else explained(error)
        print(escaped(f"{Path(sys.argv[0]).name}: {line}"), file=sys.stderr)
        return code

    return guarded


def explained(error: Exception) -> tuple[str, int]:
    """The message shown to the user and the exit code; an unexpected error is reported with its location."""
    if isinstance(error, OSError) and error.strerror:
        return _refused(error), 2
    if is_dead_worker(error):  # outside a training, which says more
        return dead_worker(error, "use fewer workers", AGAIN), 2
    if (failed := failed_worker(error)) is not None:
        return failed, 2
    own = type(error).__module__.partition(".")[0] == PACKAGE.name
    if own or isinstance(error, (OSError, ValueError, ImportError)):
        return str(error), 2
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{what} ({place.filename}, line {place.lineno}); {DEBUG} shows the traceback", 1


def _refused(error: OSError) -> str:
    """What the system refused; a hidden file, such as a partial one or a lock, is known by its folder only."""
    said = error.strerror or str(error)
    number = error.errno or 0
    if not isinstance(error.filename, str | bytes):  # such as while an open file is written
        return REFUSALS[number] if number in FULL and not isinstance(error, DiskFull) else said
    path = Path(os.fsdecode(error.filename2 or error.filename))  # of a renaming, the new name
    shown = path.parent if path.name.startswith(".") else path
    if number == errno.EEXIST and shown.is_file():
        number = errno.ENOTDIR  # where the folders on the way to a file are made
    return f"{shown}: {REFUSALS.get(number, said)}"
