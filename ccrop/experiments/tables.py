"""Tables of a comparison's rows, in Markdown: means over seeds, and paired differences between arms."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccrop.experiments.rows import Row
from ccrop.experiments.schema import Schema
from ccrop.experiments.statistics import paired_difference

Rows = Sequence[Row]


def mean_and_spread(values: Sequence[float]) -> str:
    """``mean ± standard deviation`` over seeds; the value alone if there is one, nothing if there is none."""
    if not values:
        return ""
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def percent_by_seed(rows: Rows, arm: str, name: str) -> dict[int, float]:
    """A metric in percent by seed, if measured."""
    return {int(row["seed"]): 100 * float(row[name]) for row in rows if row["arm"] == arm and row[name]}


def arms_of(rows: Rows) -> list[str]:
    """The arms, in the order of the rows."""
    return list(dict.fromkeys(row["arm"] for row in rows))


def title(name: str) -> str:
    """A name for tables and plots."""
    return name.replace("_", " ")


def markdown(rows: Rows, schema: Schema, references: Sequence[str] = (), work_dirs: Path | None = None) -> str:
    """One row per arm: mean ± standard deviation over seeds, and the difference of the goal to some other arms.

    Metrics that no run has are omitted.

    Args:
        rows: of one data set, and of one condition.
        references: the arms that differences are given to; default: those of the schema.
        work_dirs: folder of all runs, see :meth:`.Schema.folder`, for the intervals over tested examples.
    """
    arms, goal = arms_of(rows), schema.goals(rows)[0]
    shown = {name: text for name, text in schema.shown.items() if any(row[name] for row in rows)}
    others = [other for other in references or schema.references if other in arms]
    header = [_headline(rows, schema), *shown.values()]
    header += [f"{schema.shown.get(goal, goal)} over {title(other)}" for other in others]
    lines = [header, ["---"] * len(header)]
    for arm in arms:
        cells = [mean_and_spread(list(percent_by_seed(rows, arm, name).values())) for name in shown]
        cells += [difference(rows, arm, other, goal, schema, work_dirs) for other in others]
        lines.append([title(arm), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def difference(rows: Rows, arm: str, other: str, goal: str, schema: Schema, work_dirs: Path | None) -> str:
    """A cell: the mean difference over common seeds, and its intervals over seeds and over tested examples."""
    mean, half = paired_difference(*(percent_by_seed(rows, each, goal) for each in (arm, other)))
    if arm == other or mean != mean:
        return ""
    cell = f"{round(mean, 1) + 0.0:+.1f}" + (f" ± {half:.1f}" if half == half else "")  # no -0.0
    runs = [{row["seed"]: row for row in rows if row["arm"] == each and row[goal]} for each in (arm, other)]
    common = [seed for seed in runs[0] if seed in runs[1]]
    interval = work_dirs and schema.interval(
        goal, *([schema.folder(work_dirs, side[seed]) for seed in common] for side in runs)
    )
    return cell + (f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else "")


def _headline(rows: Rows, schema: Schema) -> str:
    """Data set, condition and how many seeds the arms have."""
    parts = [title(rows[0]["data"])]
    if schema.condition:
        parts.append(schema.condition_title.format(100 * float(rows[0][schema.condition])))
    seeds = sorted({sum(row["arm"] == arm for row in rows) for arm in arms_of(rows)})
    parts.append(f"{'/'.join(map(str, seeds))} seed{'' if seeds == [1] else 's'}")
    return ", ".join([*parts, "%"])
