"""Long work shows how far it is, also in a log file."""

import logging
import time

import pytest

from ccrop import long_work
from ccrop.long_work import with_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only entry; the test sets it."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(long_work.MMLogger, "get_current_instance", lambda: logging.getLogger("long work"))
    monkeypatch.setattr(logging.getLogger("long work"), "info", lines.append)
    return lines


def test_without_a_terminal_a_line_is_logged_every_minute(clock: list[float], said: list[str]):
    seen = []
    for item in with_progress(list(range(10)), "localizing"):
        seen.append(item)
        clock[0] += 25
    assert seen == list(range(10))
    assert said == [  # after 75, 150 and 225 seconds
        "localizing: 3 of 10 done, 0:02:55 left",
        "localizing: 6 of 10 done, 0:01:40 left",
        "localizing: 9 of 10 done, 0:00:25 left",
    ]


def test_what_was_done_before_counts_but_not_for_the_speed(clock: list[float], said: list[str]):
    for _ in with_progress(iter("abcd"), "packed", 104, initial=100):
        clock[0] += 60
    assert said == [f"packed: {100 + done} of 104 done, 0:0{4 - done}:00 left" for done in (1, 2, 3)]


def test_short_work_and_other_processes_are_silent(
    clock: list[float], said: list[str], monkeypatch: pytest.MonkeyPatch
):
    for _ in with_progress("abcd", "features"):
        clock[0] += 14
    monkeypatch.setattr(long_work, "is_main_process", lambda: False)
    for _ in with_progress("abcd", "features"):
        clock[0] += 100
    assert said == []


def test_items_of_unknown_number_are_counted(clock: list[float], said: list[str]):
    for _ in with_progress(iter("ab"), "sweeps"):
        clock[0] += 61
    assert said == ["sweeps: 1 done"]
