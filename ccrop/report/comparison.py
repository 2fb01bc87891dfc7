"""The sections of a comparison's CSV: tables with intervals, seeds as dots, curves over labels, what the arms find."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ccrop.experiments.rows import OPTIONS, header_of, table_of
from ccrop.experiments.schema import Interval, Schema
from ccrop.experiments.statistics import mean_interval
from ccrop.experiments.tables import difference, percent_by_seed
from ccrop.report import elements
from ccrop.report.charts import dot_chart, line_chart
from ccrop.report.detector import CURVES, OF_IMAGES, OF_SWEEPS, side_by_side
from ccrop.report.predictions import read_found
from ccrop.report.scalars import logged_lines

KEYS = ("data", "labels", "arm", "seed")
COST = (
    *("lr", "backbone_lr", "iterations", "epochs", "tflop", "pretraining_tflop", "seconds", "core_seconds"),
    *("loss", "z_std", "rank", "boxes", OPTIONS),
)
REFERENCES = ("random", "untrained", "imagenet")
COLUMNS = 8
MEANINGS = {
    r"roi_s(\d+)_.*": "roi_s{0} is RoI-kNN in the map of stride {0}: balanced accuracy over categories and background.",
    r"object_.*": "object is the kNN accuracy of annotated objects that are cut out.",
    r"hit_.*": "hit is the fraction of annotated objects that contain the center of a box.",
    r"knn_.*": "knn is the kNN accuracy of classes by the number of neighbors.",
    r"linear": "linear is the accuracy of a linear classifier on frozen features.",
    r"mAP": OF_SWEEPS,
    r"AP(50)?(_S)?(_counted)?": OF_IMAGES,
}
SCHEMA = Schema(KEYS, columns=(), shown={}, goals=lambda _: ())
Rows = list[dict[str, str]]


def sections(file: Path, runs: Path | None = None, interval: Interval = Schema.interval) -> list[str]:
    """All sections of a comparison.

    Args:
        runs: the folder of its work_dirs; without it there are no learning curves, no pictures and no intervals over
            tested examples.
        interval: over tested examples, see :class:`.Schema`.

    Raises:
        ValueError: the CSV has no columns ``arm`` and ``seed``, or no metrics.
    """
    rows = read(file)
    metrics = metrics_of(rows)
    if not metrics:
        raise ValueError(f"{file} has no metric in [0, 1] besides the cost of a run: nothing to compare")
    parts = []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        fractions = sorted({row["labels"] for row in own}, key=float)
        if len(fractions) > 1:
            parts.append(elements.section(f"{data}: {metrics[0]} by labels", over_labels(own, metrics[0], fractions)))
        for fraction in fractions:
            chosen = [row for row in own if row["labels"] == fraction]
            title = data if fractions == ["1"] else f"{data}, {100 * float(fraction):g} % of the labels"
            ordered = common_first(chosen, metrics)
            parts.append(elements.section(title, table(chosen, ordered, runs, interval), dots(chosen, ordered)))
            if runs is not None:
                parts.append(elements.section(f"{title}: how the detectors learn", learning(chosen, runs)))
                parts.append(elements.section(f"{title}: what they find", findings(chosen, runs)))
    return parts


def read(file: Path) -> Rows:
    """Rows of a comparison; those without a fraction of labels have all of them.

    Raises:
        ValueError: it has no columns ``arm`` and ``seed``, or no row; or see :func:`ccrop.experiments.rows.table_of`.
    """
    header = header_of(file)
    rows = table_of(file, file.read_bytes())[1] if {"arm", "seed"} <= set(header) else []
    if not rows:
        raise ValueError(f"{file} is not the CSV of a comparison: it has no rows with the columns arm and seed")
    return [dict(labels="1", data="") | dict(zip(header, row, strict=True)) for row in rows]


def metrics_of(rows: Rows) -> list[str]:
    """The metric columns: all their values are fractions, and they are neither key nor cost."""
    names = [name for name in rows[0] if name not in KEYS + COST]
    values = {name: [float(row[name]) for row in rows if row[name]] for name in names}
    return [name for name, each in values.items() if each and all(0 <= value <= 1 for value in each)]


def arms_of(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in rows))


def common_first(rows: Rows, metrics: Sequence[str]) -> list[str]:
    """The metrics, those that the most arms have first: arms without boxes, for example, have no recall of boxes."""
    arms = {name: len({row["arm"] for row in rows if row[name]}) for name in metrics}
    return sorted(metrics, key=lambda name: -arms[name])


def with_half(mean: float, half: float) -> str:
    """``mean ± half``, or only the mean."""
    return f"{mean:.1f}" + ("" if math.isnan(half) else f" ± {half:.1f}")


def table(rows: Rows, metrics: Sequence[str], runs: Path | None, interval: Interval) -> str:
    """One row per arm: mean ± half of the 95 % interval, and the first metric's difference to a reference arm.

    Args:
        runs, interval: see :func:`sections`.
    """
    arms, shown = arms_of(rows), list(metrics[:COLUMNS])
    other = next((each for each in REFERENCES if each in arms), arms[0])
    lines = []
    for arm in arms:
        found = {name: list(percent_by_seed(rows, arm, name).values()) for name in shown}
        cells = [with_half(*mean_interval(values)) if values else "" for values in found.values()]
        cells.append(difference(rows, arm, other, shown[0], replace(SCHEMA, interval=interval), runs))
        lines.append([title(arm), str(max(map(len, found.values()))), *cells])
    text = "In %. Mean over seeds ± half of its 95 % interval (Student's t); the difference is paired by seed. "
    if any("[" in line[-1] for line in lines):
        text += "In brackets: its 95 % interval over the choice of tested examples (paired bootstrap). "
    text += "In the charts, dots are seeds, the bar is their mean and the line its interval."
    said = "".join(map(elements.paragraph, filter(None, [text, meaning(metrics)])))
    header = ["", "seeds", *shown, f"{shown[0]} over {title(other)}"]
    return said + elements.table(header, lines)


def meaning(metrics: Sequence[str]) -> str:
    """What the known ones among the metrics are, a sentence or two each."""
    matches = ((said, re.fullmatch(form, name)) for name in metrics for form, said in MEANINGS.items())
    return " ".join(dict.fromkeys(said.format(*match.groups()) for said, match in matches if match))


def dots(rows: Rows, metrics: Sequence[str]) -> str:
    """One chart per metric: the seeds of each arm, and the mean with its interval."""
    drawn = []
    for name in metrics[:4]:
        groups = {title(arm): list(percent_by_seed(rows, arm, name).values()) for arm in arms_of(rows)}
        means = {arm: mean_interval(values) for arm, values in groups.items() if values}
        drawn.append(dot_chart(f"{name}, %", groups, means))
    return elements.charts(drawn)


def over_labels(rows: Rows, metric: str, fractions: Sequence[str]) -> str:
    """The mean of a metric over the label fraction, one line per arm."""
    lines = {}
    for arm in arms_of(rows):
        means = {}
        for fraction in fractions:
            values = percent_by_seed([row for row in rows if row["labels"] == fraction], arm, metric)
            if values:
                means[math.log10(100 * float(fraction))] = float(np.mean(list(values.values())))
        lines[title(arm)] = means
    names = {math.log10(100 * float(fraction)): f"{100 * float(fraction):g}" for fraction in fractions}
    chart = line_chart(f"{metric}, %", lines, "labels, % (logarithmic)", x_names=names)
    return elements.line_legend(lines) + elements.charts([chart])


def folders(rows: Rows, runs: Path) -> Mapping[str, Path]:
    """The existing work_dir of each arm's first seed."""
    found: dict[str, Path] = {}
    for row in sorted(rows, key=lambda row: int(row["seed"])):
        folder = SCHEMA.folder(runs, row)
        if folder.is_dir():
            found.setdefault(title(row["arm"]), folder)
    return found


def learning(rows: Rows, runs: Path) -> str:
    """Losses over iterations, a line per arm."""
    curves = {arm: logged_lines(folder) for arm, folder in folders(rows, runs).items()}
    charts = elements.charts(
        line_chart(name, {arm: each.get(name, {}) for arm, each in curves.items()}, "iteration") for name in CURVES
    )
    return elements.line_legend(curves) + charts if charts else ""


def findings(rows: Rows, runs: Path) -> str:
    """Pictures of what the arms find."""
    found = {arm: each for arm, folder in folders(rows, runs).items() if (each := read_found(folder)) is not None}
    return side_by_side(found)


def title(name: str) -> str:
    """The name of an arm, for readers."""
    return name.replace("_", " ")
