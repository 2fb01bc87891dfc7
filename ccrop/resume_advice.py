"""How interrupted work continues, in the words of the command that does it."""

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


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or what a library made of it: MMEngine calls it a syntax error of the config."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
