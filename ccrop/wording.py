"""Words in messages and pages."""

import shlex
from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """``1 image``, ``2 images``, ``1,234 processes``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith(('s', 'x')) else 's'}"


def command_line(words: Sequence[str]) -> str:
    """A command as one would type it into a shell.

    Words that need quotes get single ones, or double ones around a word with single quotes, which is all that differs
    from :func:`shlex.join`: ``"columns=('x','y')"``.
    """
    return " ".join(
        f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word) for word in words
    )
