"""What ended work from outside, in a line, and how it continues, in the words of the command that does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

AGAIN = "run the same command again"
_advice = ContextVar("advice", default=f"{AGAIN} with --resume")


def how_to_resume() -> str:
    """What a message tells the user to do."""
    return _advice.get()


@contextmanager
def resumed_by(advice: str) -> Iterator[None]:
    """Within this context, work continues in another way than by ``--resume``."""
    token = _advice.set(advice)
    try:
        yield
    finally:
        _advice.reset(token)


def is_interrupt(error: BaseException) -> bool:
    """Whether an error is Ctrl-C, or what a library made of it: MMEngine calls it a syntax error of the config."""
    return interrupt_in(error) is not None


def interrupt_in(error: BaseException | None) -> KeyboardInterrupt | None:
    """The first interrupt among an error and its causes."""
    found = None
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            found = error
        error = error.__cause__ or error.__context__
    return found


def dead_worker(error: BaseException, fewer: str, advice: str) -> str:
    """The line on a data-loading worker that was killed.

    Args:
        error: what torch or the broken connection said.
        fewer: what to lower, as an instruction.
        advice: how to go on.
    """
    said = str(error).strip().rstrip(".")
    return f"a data-loading worker died early ({said}), most likely for lack of memory: {fewer}, and {advice}"


def is_dead_worker(error: BaseException) -> bool:
    """Whether it is torch's error for a data-loading worker that was killed."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker (pid")


def failed_worker(error: BaseException) -> str | None:
    """The line on an error in a data-loading worker, whose traceback torch hands on as a text; None for any other."""
    said = str(error).strip()
    if not (said.startswith("Caught ") and "Original Traceback" in said):
        return None
    return f"a data-loading worker failed: {said.splitlines()[-1]}"
