"""Ctrl-C is one line, also while a command still imports: this module, imported before what takes long, sees to it."""

import sys
from pathlib import Path
from types import TracebackType

from ccrop.resume_advice import is_interrupt


def interrupted(error: BaseException) -> str:
    """What ended a command, in words."""
    return ": ".join(filter(None, ("interrupted", str(error) if isinstance(error, KeyboardInterrupt) else "")))


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python calls before it ends; after an interrupt, with the exit code of one."""
    if is_interrupt(error):
        print(f"{Path(sys.argv[0]).name}: {interrupted(error)}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _uncaught
