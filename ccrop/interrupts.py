"""Ctrl-C is one line, also while a command still imports: this module, imported before what takes long, sees to it.

SIGTERM (kill, docker stop, a scheduler's time limit) ends a command in the same way, so that it leaves nothing half
written.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer, current_thread, main_thread
from types import FrameType, TracebackType

from ccrop.resume_advice import interrupt_in, is_interrupt


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM."""


def interrupted(error: BaseException) -> tuple[str, int]:
    """What ended a command, in words, and its exit code: 128 and the number of the signal, as shells show it."""
    terminated = isinstance(interrupt_in(error), Terminated)
    said = str(error) if isinstance(error, KeyboardInterrupt) else ""
    line = ": ".join(filter(None, ("terminated" if terminated else "interrupted", said)))
    return line, 128 + (signal.SIGTERM if terminated else signal.SIGINT)


@contextmanager
def termination_raised() -> Iterator[None]:
    """Within this context SIGTERM raises :class:`Terminated` in the main thread; a second one ends it at once.

    Processes that are forked there end at SIGTERM as usual.
    """
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def _before_fork() -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:  # it would be lost before the child resets its handler
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _after_fork(child: bool) -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:
        if child:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python calls before it ends; after an interrupt, with the exit code of one."""
    if is_interrupt(error):
        print(f"{Path(sys.argv[0]).name}: {interrupted(error)[0]}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _ignored(unraisable: "sys.UnraisableHookArgs") -> None:
    """What Python calls where nothing can be raised, as in a destructor or the import system's callbacks.

    It would print an interrupt there and go on; here it comes again in a moment, where it can be raised.
    """
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        Timer(0.05, signal.pthread_kill, (main_thread().ident, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


sys.excepthook = _uncaught
sys.unraisablehook = _ignored
os.register_at_fork(
    before=_before_fork,
    after_in_child=lambda: _after_fork(child=True),
    after_in_parent=lambda: _after_fork(child=False),
)
