"""Learning curves of detectors: a table and a plot of the goal over core-seconds, from rows of complete schedules.

python projects/studies/finetuning_recipe/curve.py rows/*.csv --out curves
"""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np

from ccrop.cli import command, command_parser
from ccrop.experiments.tables import mean_and_spread

matplotlib.use("Agg")
from matplotlib import pyplot as plt

GOAL = "AP_S_counted"
SHOWN = (GOAL, "AP50_S_counted", "AP_S", "AP")


class Point(NamedTuple):
    """One schedule of a curve: its rows, a seed each."""

    iterations: int
    rows: list[dict[str, str]]

    def percent(self, name: str) -> list[float]:
        return [100 * float(row[name]) for row in self.rows if row[name]]

    @property
    def core_seconds(self) -> float:
        return float(np.mean([float(row["core_seconds"]) for row in self.rows]))


def curves(files: Sequence[Path]) -> dict[tuple[str, str], list[Point]]:
    """Points by data set and curve, the shortest schedule first.

    Args:
        files: named DETECTOR_ITERATIONS.csv, or DETECTOR-seedN_ITERATIONS.csv where seeds ran side by side.
    """
    found: dict[tuple[str, str], dict[int, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        detector = re.sub(r"-seed\d+$", "", file.stem.rpartition("_")[0])
        with file.open(newline="") as handle:
            for row in csv.DictReader(handle):
                name = f"{detector}, {row['arm']}, {float(row['labels']):.0%}"
                found[row["data"], name][int(row["iterations"])].append(row)
    return {
        key: [Point(iterations, rows) for iterations, rows in sorted(points.items())] for key, points in found.items()
    }


def table(found: dict[tuple[str, str], list[Point]]) -> str:
    """A Markdown table, one row a schedule: mean ± standard deviation over seeds."""
    lines = [
        ["data", "detector, init, labels", "iterations", "core-seconds", "seeds", *(f"{each}, %" for each in SHOWN)]
    ]
    lines.append(["---"] * len(lines[0]))
    for (data, name), points in sorted(found.items()):
        for point in points:
            cost = [str(point.iterations), f"{point.core_seconds:.0f}", str(len(point.rows))]
            lines.append([data, name, *cost, *(mean_and_spread(point.percent(each)) for each in SHOWN)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plot(found: dict[tuple[str, str], list[Point]], data: str, file: Path) -> None:
    """The goal over core-seconds, a curve a detector and init, a bar for a standard deviation over seeds."""
    figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for name, points in sorted((name, points) for (of, name), points in found.items() if of == data):
        values = [point.percent(GOAL) for point in points]
        spread = [np.std(each, ddof=1) if len(each) > 1 else 0.0 for each in values]
        seconds = [point.core_seconds for point in points]
        axis.errorbar(seconds, [np.mean(each) for each in values], spread, marker="o", capsize=3, label=name)
    axis.set_xscale("log")
    axis.set(xlabel="core-seconds of training", ylabel=f"{GOAL}, %", title=data, ylim=(0, None))
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    figure.savefig(file, dpi=110)
    plt.close(figure)


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("csv", nargs="+", type=Path, help="a CSV of tools/compare.py")
    parser.add_argument("--out", type=Path, required=True, help="prefix of the output files: OUT.md and OUT_DATA.png")
    args = parser.parse_args(argv)
    found = curves(args.csv)
    args.out.with_suffix(".md").write_text(table(found))
    for data in {data for data, _ in found}:
        plot(found, data, args.out.with_name(f"{args.out.name}_{data}.png"))
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
