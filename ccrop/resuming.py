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
