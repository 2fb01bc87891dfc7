"""One task done in several ways, timed alternately in CPU time, and the resulting rows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from ccrop.compute import core_seconds
from ccrop.files import written

ROUNDS = 5  # at least
NOT_INSTALLED = "not installed"
Call = Callable[[], object]
Row = dict[str, Any]


class Comparison(NamedTuple):
    """One task, done by ccrop and in other ways.

    Attributes:
        path: what is done.
        ours: does it.
        theirs: do the same, keyed by name; None if not installed.
        unit: of the times: milliseconds of CPU time per what.
        number: of these units in a call.
    """

    path: str
    ours: Call
    theirs: Mapping[str, Call | None]
    unit: str
    number: int = 1


def measured(comparison: Comparison, seconds: float) -> list[Row]:
    """A row for each of the other ways.

    All are called in turn, once as a warm-up and then :data:`ROUNDS` times or more, so that other load on the machine
    affects all of them equally.

    Args:
        seconds: minimum CPU time to spend on the rounds.

    Returns:
        ``path``, ``against``, ``ours`` and ``theirs`` (medians, in ``unit``), ``ratio``, the median over the rounds of
        theirs divided by ours (above 1: ours is faster), and ``spread``, its quartiles. A way that is not installed
        has no ratio.
    """
    calls = {name: call for name, call in comparison.theirs.items() if call is not None}
    calls["ccrop"] = comparison.ours
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    while len(taken["ccrop"]) < ROUNDS or sum(map(sum, taken.values())) < seconds:
        for name, call in calls.items():
            start = core_seconds()
            call()
            taken[name].append(core_seconds() - start)
    ours = taken.pop("ccrop")
    scale = 1000 / comparison.number
    rows = []
    for name in comparison.theirs:
        row: Row = dict(path=comparison.path, against=name, ratio=None, ours=scale * median(ours))
        row |= dict(theirs=NOT_INSTALLED, unit=comparison.unit, spread=None)
        if name in taken:
            low, middle, high = quantiles([there / here for here, there in zip(ours, taken[name], strict=True)])
            row |= dict(theirs=scale * median(taken[name]), ratio=middle, spread=[low, high])
        rows.append(row)
    return rows


def line(row: Row) -> str:
    """The row of a Markdown table under :data:`HEADING`."""
    if row["ratio"] is None:
        ratio, theirs = "", row["theirs"]
    else:
        low, high = row["spread"]
        ratio, theirs = f"{row['ratio']:.2f}x ({low:.2f} to {high:.2f})", f"{row['theirs']:.3g}"
    return f"| {row['path']} | {row['against']} | {ratio} | {row['ours']:.3g} | {theirs} | {row['unit']} |"


HEADING = "| path | against | ratio (quartiles) | ours | theirs | unit |\n|---|---|---|---|---|---|"


def write_rows(rows: list[Row], file: str | Path) -> None:
    """Rows as a JSON list."""
    with written(file) as partial:
        partial.write_text(json.dumps(rows, indent=1) + "\n")
