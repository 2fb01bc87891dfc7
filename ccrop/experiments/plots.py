"""Plots of a comparison's rows: arms side by side, or over the condition that they are compared under."""

from pathlib import Path

import matplotlib
import numpy as np

from ccrop.experiments.schema import Schema
from ccrop.experiments.tables import Rows, arms_of, percent_by_seed, title
from ccrop.files import written

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot(rows: Rows, schema: Schema, file: Path) -> None:
    """Draw the goals of one data set's rows."""
    figure = _over_condition(rows, schema) if schema.condition else _side_by_side(rows, schema)
    with written(file) as partial:
        figure.savefig(partial, dpi=110)
    plt.close(figure)


def _side_by_side(rows: Rows, schema: Schema) -> plt.Figure:
    """A panel per goal: a row per arm, a dot per seed, a bar for the mean."""
    arms, goals = arms_of(rows), schema.goals(rows)
    size = (5 * len(goals), 0.4 * len(arms) + 1.2)
    figure, axes = plt.subplots(1, len(goals), figsize=size, sharey=True, layout="constrained", squeeze=False)
    for axis, goal in zip(axes[0], goals, strict=True):
        for place, arm in enumerate(arms):
            values = list(percent_by_seed(rows, arm, goal).values())
            if values:
                axis.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color="tab:red", lw=2)
                axis.plot(values, [place] * len(values), "o", color="tab:blue", ms=5, alpha=0.7)
        axis.set_title(f"{title(rows[0]['data'])}: {schema.shown[goal]}, %", size=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0, 0].set_yticks(range(len(arms)), [title(arm) for arm in arms])
    axes[0, 0].invert_yaxis()
    return figure


def _over_condition(rows: Rows, schema: Schema) -> plt.Figure:
    """The first goal over the condition, a line per arm, a bar for a standard deviation over seeds."""
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    arms, goal, condition = arms_of(rows), schema.goals(rows)[0], schema.condition
    assert condition is not None
    for place, arm in enumerate(arms):
        fractions = sorted({float(row[condition]) for row in rows if row["arm"] == arm})
        values = [
            list(percent_by_seed([row for row in rows if float(row[condition]) == fraction], arm, goal).values())
            for fraction in fractions
        ]
        spread = [float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in values]
        means = [float(np.mean(each)) if each else np.nan for each in values]
        beside = 1.04 ** (place - (len(arms) - 1) / 2)  # so that bars do not hide each other
        axis.errorbar(
            [100 * each * beside for each in fractions],
            means,
            spread,
            color=f"C{place % 10}",
            marker="o" if place < 10 else "s",
            capsize=3,
            label=title(arm),
        )
    axis.set_xscale("log")
    ticks = sorted({100 * float(row[condition]) for row in rows})
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel=schema.axis, ylabel=f"{goal}, %", title=f"{title(rows[0]['data'])}: {goal}")
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    return figure
