"""The runs, rows, tables and plots of tools/compare.py."""

import argparse
import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import matplotlib
import numpy as np
import torch
from mmengine.config import Config

from ccrop.compute import fit_to_budget, set_epochs, step_cost
from ccrop.rows import append_row, mean_and_spread, read_rows
from ccrop.runner import build_runner, load_config, load_pretrained
from ccrop.tools.comparisons import UNTRAINED, classes, objects
from ccrop.tools.comparisons.measure import Arms, Measure

matplotlib.use("Agg")
from matplotlib import pyplot as plt

MEASURES: tuple[Measure, ...] = (objects.MEASURE, classes.MEASURE)
KEY = ("data", "arm", "seed")
COMMON = (*KEY, "epochs", "tflop", "seconds", "loss", "z_std", "rank", "boxes")


def run(path: str, measure: Measure, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train and measure one arm; a row of the table."""
    torch.manual_seed(seed)
    if path == UNTRAINED:
        config, model = load_pretrained(None, args.configs_of[0], args.data_root, args.cfg_options, seed)
        return rounded(measure.model(config, model, args))
    config = load_config(path, args.data_root, args.cfg_options)
    tflop = fit_to_budget(config, args.tflop) if args.epochs is None else fit_to_epochs(config, args.epochs)
    work_dir = args.work_dirs / Path(args.data_root).name / f"{name_of(path, args)}_{seed}"
    shutil.rmtree(work_dir, ignore_errors=True)
    runner = build_runner(config, work_dir, seed=seed)
    start = perf_counter()
    model = runner.train()
    row = dict(epochs=runner.max_epochs, tflop=tflop, seconds=round(perf_counter() - start))
    scalars = runner.message_hub.log_scalars
    row |= {name: float(scalars[f"epoch/{name}"].current()) for name in ("loss", "z_std", "rank")}
    dataset = runner.train_dataloader.dataset
    if dataset.boxes is not None:
        row["boxes"] = dataset.boxes.counts.float().mean().item()
    return rounded(row | measure.dataset(dataset) | measure.model(config, model.eval(), args))


def fit_to_epochs(config: Config, epochs: int) -> float:
    """Give a run so many epochs and a checkpoint at its end; 10^12 operations of training."""
    steps, cost = step_cost(config)
    set_epochs(config, epochs)
    return epochs * steps * cost


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) for name, value in row.items()}


def columns_of(measure: Measure) -> tuple[str, ...]:
    return (*COMMON, *measure.columns)


def measure_of(file: Path) -> Measure:
    """The kind of a CSV of earlier runs.

    Raises:
        ValueError: it is none of these.
    """
    with file.open(newline="") as handle:
        header = tuple(next(csv.reader(handle), ()))
    for measure in MEASURES:
        if header == columns_of(measure):
            return measure
    raise ValueError(f"{file} has other columns than this comparison writes: name another --csv")


def measure_for(args: argparse.Namespace) -> Measure:
    """The kind that the data of the first config fit.

    Raises:
        ValueError: none does.
    """
    config = load_config(args.configs_of[0], args.data_root, args.cfg_options)
    for measure in MEASURES:
        if measure.fits(config):
            return measure
    raise ValueError(f"{args.data_root} has neither annotated objects in a val split nor classes for the config's kNN")


def name_of(path: str, args: argparse.Namespace) -> str:
    return Path(path).stem + args.tag


def summary(rows: Sequence[dict[str, str]], measure: Measure) -> Arms:
    """Figures of all seeds by arm, in the order of the rows, and column."""
    arms: Arms = {}
    for row in rows:
        columns = arms.setdefault(row["arm"], {name: [] for name in measure.shown})
        for name in measure.shown:
            if row[name]:
                columns[name].append(100 * float(row[name]))
    return arms


def markdown(arms: Arms, data: str, measure: Measure) -> str:
    """One row an arm: mean ± spread (the standard deviation over seeds)."""
    seeds = {len(columns[measure.plotted[0]]) for columns in arms.values()}
    header = [f"{data}, {'/'.join(map(str, sorted(seeds)))} seeds, %", *measure.shown.values()]
    lines = [header, ["---"] * len(header)]
    lines += [[arm.replace("_", " "), *map(mean_and_spread, columns.values())] for arm, columns in arms.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(arms: Arms, data: str, measure: Measure, file: Path) -> None:
    """Two of the figures: a dot a seed, a bar for the mean."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.4 * len(arms) + 1.2), sharey=True, layout="constrained")
    for axis, name in zip(axes, measure.plotted, strict=True):
        for place, columns in enumerate(arms.values()):
            if columns[name]:
                axis.plot([np.mean(columns[name])] * 2, [place - 0.3, place + 0.3], color="tab:red", lw=2)
                axis.plot(columns[name], [place] * len(columns[name]), "o", color="tab:blue", ms=5, alpha=0.7)
        axis.set_title(f"{data}: {measure.shown[name]}, %", size=10)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(arms)), [arm.replace("_", " ") for arm in arms])
    axes[0].invert_yaxis()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def report(file: Path) -> None:
    """Print and write the tables, and draw a plot for each data set."""
    measure = measure_of(file)
    rows = read_rows(file, columns_of(measure))
    tables = []
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        arms = summary(of_data, measure)
        tables += filter(None, (markdown(arms, data, measure), measure.note(of_data)))
        plot(arms, data, measure, file.with_name(f"{file.stem}_{data}.png"))
    text = "\n\n".join(tables) + "\n"
    file.with_suffix(".md").write_text(text)
    print(text)


def measure_all(args: argparse.Namespace) -> None:
    """Every arm and seed that has no row yet."""
    measure = measure_for(args)
    columns = columns_of(measure)
    done = {tuple(row[name] for name in KEY) for row in read_rows(args.csv, columns)}
    for seed in args.seeds:
        for path in args.configs:
            key = (Path(args.data_root).name, name_of(path, args), str(seed))
            if key not in done:
                append_row(args.csv, dict(zip(KEY, key, strict=True)) | run(path, measure, args, seed), columns)
