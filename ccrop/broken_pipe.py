"""A command whose output nobody reads any more, as in ``ccrop --help | head``, ends without a word."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_with_its_reader() -> Iterator[None]:
    """Exit as the shell's own commands do, with 128 and the number of SIGPIPE, once the reader of stdout is gone."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _abandoned(sys.stdout.fileno()):  # another pipe
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        raise SystemExit(128 + signal.SIGPIPE) from None


def _abandoned(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))
