"""Tables and plots of a comparison of initialisations, from its CSV of runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from scipy import stats

from ccrop.rows import mean_and_spread, read_rows
from ccrop.transfer.finetuning import CORE_SECONDS, Transfer

matplotlib.use("Agg")
from matplotlib import pyplot as plt

KEY = ("data", "labels", "arm", "seed")
NOTE = (
    "Mean ± standard deviation over seeds. Differences: ± half of the 95 % interval over seeds (Student's t), and in "
    "brackets the 95 % interval over the choice of tested examples (paired bootstrap), where their work_dirs are there."
)
COST = ("lr", "backbone_lr", "iterations", "tflop", "pretraining_tflop", "seconds", CORE_SECONDS)
Rows = list[dict[str, str]]


def columns_of(transfer: Transfer) -> tuple[str, ...]:
    """Of the CSV: a run's key, what it cost, and its figures."""
    return (*KEY, *COST, *transfer.figures)


def figures_by_seed(rows: Rows, arm: str, name: str) -> dict[int, float]:
    """A figure in percent by seed, where it was measured."""
    return {int(row["seed"]): 100 * float(row[name]) for row in rows if row["arm"] == arm and row[name]}


def paired_difference(own: dict[int, float], other: dict[int, float]) -> tuple[float, float]:
    """Mean difference over common seeds, and half of its 95 % interval by Student's t; nan where it has none."""
    differences = np.array([own[seed] - other[seed] for seed in own.keys() & other.keys()])
    if len(differences) < 2:
        return float(differences.mean()) if len(differences) else float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean()), float(half)


def run_folder(work_dirs: Path, row: Mapping[str, str]) -> Path:
    """The work_dir of a run, by its row's :data:`KEY`."""
    return work_dirs / row["data"] / row["labels"] / f"{row['arm']}_{row['seed']}"


def difference(rows: Rows, arm: str, other: str, figure: str, transfer: Transfer, work_dirs: Path | None) -> str:
    """A cell: the mean difference over common seeds, and its intervals over seeds and over tested examples."""
    mean, half = paired_difference(*(figures_by_seed(rows, each, figure) for each in (arm, other)))
    if arm == other or mean != mean:
        return ""
    cell = f"{mean:+.1f}" + (f" ± {half:.1f}" if half == half else "")
    runs = [{row["seed"]: row for row in rows if row["arm"] == each and row[figure]} for each in (arm, other)]
    common = [seed for seed in runs[0] if seed in runs[1]]
    interval = work_dirs and transfer.interval(
        figure, *([run_folder(work_dirs, own[seed]) for seed in common] for own in runs)
    )
    return cell + (f" [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]" if interval else "")


def markdown(
    rows: Rows,
    data: str,
    labels: str,
    transfer: Transfer,
    references: Sequence[str] = (),
    work_dirs: Path | None = None,
) -> str:
    """One row an initialisation: mean ± standard deviation over seeds, and the goal against some others.

    Figures that no run has are left out.

    Args:
        rows: of this data set and share of the labels.
        references: the initialisations to which differences are given; default: those of ``transfer``.
        work_dirs: folder of all runs, see :func:`run_folder`, for the intervals over tested examples.
    """
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    seeds = len({row["seed"] for row in rows})
    shown = [name for name in transfer.shown if any(row[name] for row in rows)]
    goal = compared_figure(rows, transfer)
    header = [f"{_title(data)}, {float(labels):.0%} of the labels, {seeds} seed{'' if seeds == 1 else 's'}, %", *shown]
    others = [other for other in references or transfer.references if other in arms]
    header += [f"{goal} over {_title(other)}" for other in others]
    lines = [header, ["---"] * len(header)]
    for arm in arms:
        cells = [mean_and_spread(list(figures_by_seed(rows, arm, name).values())) for name in shown]
        cells += [difference(rows, arm, other, goal, transfer, work_dirs) for other in others]
        lines.append([_title(arm), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compared_figure(rows: Rows, transfer: Transfer) -> str:
    """The figure that these runs are compared by, see :meth:`.Transfer.compared`."""
    return transfer.compared(lambda name: any(row[name] for row in rows))


def plot(rows: Rows, data: str, file: Path, transfer: Transfer) -> None:
    """The goal over the share of the labels, one line an initialisation, a bar for a standard deviation."""
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    goal = compared_figure(rows, transfer)
    for place, arm in enumerate(arms):
        shares = sorted({float(row["labels"]) for row in rows if row["arm"] == arm})
        values = [
            list(figures_by_seed([row for row in rows if float(row["labels"]) == share], arm, goal).values())
            for share in shares
        ]
        spread = [np.std(each, ddof=1) if len(each) > 1 else 0 for each in values]
        means = [np.mean(each) if each else np.nan for each in values]
        beside = 1.04 ** (place - (len(arms) - 1) / 2)  # so that bars do not hide each other
        style = dict(color=f"C{place % 10}", marker="o" if place < 10 else "s", capsize=3)
        axis.errorbar([100 * share * beside for share in shares], means, spread, **style, label=_title(arm))
    axis.set_xscale("log")
    ticks = sorted({100 * float(row["labels"]) for row in rows})
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.set(
        xlabel=f"labelled {transfer.examples}, %",
        ylabel=f"{goal}, %",
        title=f"{_title(data)}: {goal}",
    )
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def report(file: Path, transfer: Transfer, references: Sequence[str], work_dirs: Path) -> None:
    """Print and write the tables, and draw a plot for each data set; see :func:`markdown`."""
    rows, tables = read_rows(file, columns_of(transfer)), []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        for labels in sorted({row["labels"] for row in own}, key=float):
            chosen = [row for row in own if row["labels"] == labels]
            tables.append(markdown(chosen, data, labels, transfer, references, work_dirs))
        plot(own, data, file.with_name(f"{file.stem}_{data}.png"), transfer)
    text = "\n\n".join([*tables, NOTE]) + "\n"
    file.with_suffix(".md").write_text(text)
    print(text)


def _title(name: str) -> str:
    return name.replace("_", " ")
