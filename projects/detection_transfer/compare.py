"""What pretraining is worth to a detector: initialisations x shares of the labels x seeds, one CSV row a run.

    python projects/detection_transfer/compare.py projects/detection_transfer/configs/faster-rcnn_r18_fpn_demo.py \\
        --data-root data/demo --pretrain configs/comparison/{rcrop,single,region_clusters}.py --labels 10% 100%

Every pretraining gets the same training FLOPs, on all train images without their labels, once a seed. Every
initialisation gets its own learning rate, by AP_S on held-out labelled images. ``random`` starts from nothing, and
``random_long`` trains longer, by what the pretraining cost. A run whose row is there is not repeated, so an
interrupted comparison goes on where it stopped. Every call ends with a Markdown table and a plot beside the CSV.
"""

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import perf_counter

import matplotlib
import numpy as np
from mmengine.config import DictAction
from scipy import stats

from ccrop import runner as pretraining
from ccrop.compat.checkpoint import UntrustedCheckpoint
from ccrop.compute import fit_to_budget
from ccrop.datasets import MissingData
from ccrop.hooks.checkpoint import latest_checkpoint
from ccrop.rows import append_row, mean_and_spread, read_rows
from projects.detection_transfer.backbone import RANDOM
from projects.detection_transfer.data import share_of
from projects.detection_transfer.finetune import (
    LR_FACTORS,
    finetune,
    load_config,
    search_learning_rate,
    set_iterations,
    set_learning_rate,
    step_tflop,
)

matplotlib.use("Agg")
from matplotlib import pyplot as plt

RANDOM_LONG = "random_long"
KEY = ("data", "labels", "arm", "seed")
FIGURES = ("AP_S", "AP_tiny", "AP_16-32", "AP", "AP50", "AP75", "AP_M", "AP_L", "AR_S")
COLUMNS = (*KEY, "lr", "backbone_lr", "iterations", "tflop", "pretraining_tflop", "seconds", *FIGURES)
SHOWN = ("AP_S", "AP_tiny", "AP_16-32", "AP", "AP50", "AR_S")
Rows = list[dict[str, str]]


class Comparison:
    """The runs of one data set, as the command line asks for them."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.data = Path(args.data_root).resolve().name
        self.work_dir = args.work_dirs / self.data
        self.config = load_config(args.config, args.data_root, args.cfg_options)
        if args.iterations:
            set_iterations(self.config, args.iterations)
        self.pretrainings = {Path(path).stem: path for path in args.pretrain}
        self.rates_file = args.csv.with_name(f"{args.csv.stem}_lr.json")

    def run(self) -> None:
        for seed in self.args.seeds:
            for arm in self.pretrainings:
                self.pretrained(arm, seed)
        for arm in (RANDOM, *self.pretrainings):
            self.learning_rate(arm)
        for labels in self.args.labels:
            for seed in self.args.seeds:
                for arm in (RANDOM, *([] if self.args.no_long else [RANDOM_LONG]), *self.pretrainings):
                    self.measure(labels, arm, seed)

    @cached_property
    def step_tflop(self) -> float:
        return step_tflop(self.config)

    def pretrained(self, arm: str, seed: int) -> str:
        """Checkpoint of a pretraining; trained where it is not there yet."""
        if arm == RANDOM:
            return RANDOM
        work_dir = self.work_dir / "pretraining" / f"{arm}_{seed}"
        last = latest_checkpoint(work_dir)
        if not (work_dir / "done").exists():
            config = pretraining.load_config(self.pretrainings[arm], self.args.data_root)
            fit_to_budget(config, self.args.tflop)
            resume = None if last is None else "auto"
            pretraining.build_runner(config, work_dir, resume=resume, seed=seed).train()
            last = latest_checkpoint(work_dir)
            (work_dir / "done").touch()
        return last

    def learning_rate(self, arm: str) -> tuple[float, float]:
        """An initialisation's rate and the backbone's part of it, searched once, with the first seed."""
        factors, backbone_factors = self.args.lr_factors, self.args.backbone_lr
        if len(factors) == len(backbone_factors) == 1:
            return factors[0] * self.config.optim_wrapper.optimizer.lr, backbone_factors[0]
        rates = json.loads(self.rates_file.read_text()) if self.rates_file.exists() else {}
        key = f"{self.data} {arm}"
        if key not in rates:
            seed = self.args.seeds[0]
            found = search_learning_rate(
                self.config,
                self.pretrained(arm, seed),
                self.work_dir / "lr" / arm,
                factors,
                backbone_factors,
                self.args.lr_labels,
                seed,
            )
            rates = json.loads(self.rates_file.read_text()) if self.rates_file.exists() else {}
            self.rates_file.write_text(json.dumps(rates | {key: found}, indent=1))
            return found
        return tuple(rates[key])

    def measure(self, labels: float, arm: str, seed: int) -> None:
        """Fine-tune and add a row, unless it is there."""
        key = dict(zip(KEY, (self.data, f"{labels:g}", arm, str(seed)), strict=True))
        if any(all(row[name] == key[name] for name in KEY) for row in read_rows(self.args.csv, COLUMNS)):
            return
        init = RANDOM if arm == RANDOM_LONG else arm
        config = copy.deepcopy(self.config)
        lr, backbone_lr = self.learning_rate(init)
        set_learning_rate(config, lr, backbone_lr)
        step = self.step_tflop
        pretraining_tflop = self.args.tflop if init != RANDOM else 0.0
        if arm == RANDOM_LONG:
            set_iterations(config, config.train_cfg.max_iters + round(self.args.tflop / step))
        work_dir = self.work_dir / f"{labels:g}" / f"{arm}_{seed}"
        start = perf_counter()
        figures = finetune(config, self.pretrained(init, seed), work_dir, labels, seed)
        row = key | dict(
            lr=lr,
            backbone_lr=round(lr * backbone_lr, 6),
            iterations=config.train_cfg.max_iters,
            tflop=round(step * config.train_cfg.max_iters, 3),
            pretraining_tflop=pretraining_tflop,
            seconds=round(perf_counter() - start),
        )
        row |= {name: round(figures[name], 5) for name in FIGURES if figures[name] == figures[name]}
        append_row(self.args.csv, row, COLUMNS)


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


def markdown(rows: Rows, data: str, labels: str) -> str:
    """One row an initialisation: mean ± standard deviation over seeds, and AP_S against random and rcrop."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    seeds = len({row["seed"] for row in rows})
    header = [f"{data}, {float(labels):.0%} of the labels, {seeds} seeds, %", *SHOWN]
    others = [other for other in (RANDOM, "rcrop") if other in arms]
    header += [f"AP_S over {other}" for other in others]
    lines = [header, ["---"] * len(header)]
    for arm in arms:
        cells = [mean_and_spread(list(figures_by_seed(rows, arm, name).values())) for name in SHOWN]
        for other in others:
            difference, half = paired_difference(*(figures_by_seed(rows, each, "AP_S") for each in (arm, other)))
            cells.append("" if arm == other else f"{difference:+.1f}" + (f" ± {half:.1f}" if half == half else ""))
        lines.append([arm.replace("_", " "), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plot(rows: Rows, data: str, file: Path) -> None:
    """AP_S over the share of the labels, one line an initialisation, a bar for a standard deviation."""
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for arm in dict.fromkeys(row["arm"] for row in rows):
        shares = sorted({float(row["labels"]) for row in rows if row["arm"] == arm})
        values = [
            list(figures_by_seed([row for row in rows if float(row["labels"]) == share], arm, "AP_S").values())
            for share in shares
        ]
        spread = [np.std(each, ddof=1) if len(each) > 1 else 0 for each in values]
        percent = [100 * share for share in shares]
        means = [np.mean(each) for each in values]
        axis.errorbar(percent, means, spread, marker="o", capsize=3, label=arm.replace("_", " "))
    axis.set(xscale="log", xlabel="labelled images, %", ylabel="AP_S, %", title=f"{data}: small objects")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def report(file: Path) -> None:
    """Print and write the tables, and draw a plot for each data set."""
    rows, tables = read_rows(file, COLUMNS), []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        for labels in sorted({row["labels"] for row in own}, key=float):
            tables.append(markdown([row for row in own if row["labels"] == labels], data, labels))
        plot(own, data, file.with_name(f"{file.stem}_{data}.png"))
    text = "\n\n".join(tables) + "\n"
    file.with_suffix(".md").write_text(text)
    print(text)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a detector's config; none: only report")
    parser.add_argument("--data-root", help="a COCO-format set, train and val annotated")
    parser.add_argument("--pretrain", nargs="+", default=[], metavar="CONFIG", help="pretraining configs")
    parser.add_argument("--labels", type=share_of, nargs="+", default=[0.01, 0.1, 1.0], help="default: 1%% 10%% 100%%")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--tflop", type=float, default=5, help="10^12 operations a pretraining (default: %(default)s)")
    parser.add_argument("--iterations", type=int, help="of fine-tuning; by default the config's")
    parser.add_argument("--no-long", action="store_true", help=f"leave out {RANDOM_LONG}")
    parser.add_argument(
        "--lr-factors", type=float, nargs="+", default=LR_FACTORS, help="of the config's rate (default: 0.5 1 2)"
    )
    parser.add_argument("--backbone-lr", type=float, nargs="+", default=[1.0], help="parts of it (default: 1)")
    parser.add_argument("--lr-labels", type=share_of, default=0.1, help="share that the rates are searched with")
    parser.add_argument("--csv", type=Path, default=Path("transfer.csv"), help="default: %(default)s")
    parser.add_argument("--work-dirs", type=Path, default=Path("work_dirs/transfer"), help="default: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="K=V", help="override the detector's")
    args = parser.parse_args(argv)
    if args.config and not args.data_root:
        parser.error("runs need --data-root")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        if args.config:
            Comparison(args).run()
        report(args.csv)
    except (OSError, ValueError, MissingData, UntrustedCheckpoint) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
