"""What pretraining is worth to a detector: initialisations x shares of the labels x seeds, one CSV row a run.

A pretraining is a config, and then it is run here, once a seed, with the same training FLOPs as all others, on all
training data without their labels; or a checkpoint, NAME=FILE or FILE, where {seed} in FILE stands for the seed and
--tflop for what it cost; or NAME=clusters:OTHER, a detector that learns the clusters that the pretraining OTHER found
in place of labels, for as many operations. Every initialisation gets its own learning rate, by the goal on held-out
labelled data. ``random`` starts from nothing, and ``random_long`` trains longer, by what the pretraining cost. A run
whose row is there is not repeated, so an interrupted comparison goes on where it stopped: with the unfinished
pretraining, or with the unfinished fine-tuning from its beginning, so that a row's cost is that of one whole training.
Every call ends with a Markdown table and a plot beside the CSV.
"""

import argparse
import copy
import json
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from time import perf_counter

from ccrop import runner as pretraining
from ccrop.checkpoint import RANDOM, is_library
from ccrop.cli import OptionsAction
from ccrop.compat.checkpoint import UntrustedCheckpoint
from ccrop.compute import fit_to_budget
from ccrop.files import write_json
from ccrop.hooks.checkpoint import latest_checkpoint
from ccrop.hooks.divergence import DivergedError
from ccrop.options import options_explained
from ccrop.rows import append_row, read_rows
from ccrop.transfer.finetuning import (
    CORE_SECONDS,
    IMAGENET,
    LR_FACTORS,
    Transfer,
    set_iterations,
    set_learning_rate,
    step_tflop,
)
from ccrop.transfer.labels import share_of
from ccrop.transfer.tables import KEY, columns_of, report, run_folder

RANDOM_LONG = "random_long"
CLUSTERS = "clusters:"


class Comparison:
    """The runs of one data set, as the command line asks for them."""

    def __init__(self, transfer: Transfer, args: argparse.Namespace) -> None:
        self.transfer = transfer
        self.args = args
        self.data = transfer.data_name(Path(args.data_root))
        self.work_dir = args.work_dirs / self.data
        self.config = transfer.load_config(args.config, args.data_root, args.cfg_options)
        if args.iterations is not None:
            set_iterations(self.config, args.iterations)
        self.pretrainings = self.named_pretrainings()
        for source in self.pretrainings.values():
            if source.startswith(CLUSTERS) and source.removeprefix(CLUSTERS) not in self.pretrainings:
                raise ValueError(
                    f"{source} is of no pretraining, of {', '.join(self.pretrainings)}: name it in --pretrain"
                )
        self.rates_file = args.csv.with_name(f"{args.csv.stem}_lr.json")

    def named_pretrainings(self) -> dict[str, str]:
        """What each arm but the random ones starts from, ImageNet's weights first; says so where there are none.

        Raises:
            ValueError: two arms have one name.
        """
        named = list(map(named_pretraining, self.args.pretrain))
        imagenet = self.args.imagenet or self.config.get("imagenet")
        if imagenet:
            named.insert(0, (IMAGENET, imagenet))
        names = [RANDOM, RANDOM_LONG, *(name for name, _ in named)]
        if len(set(names)) < len(names):
            raise ValueError(f"two initialisations have one name, of {', '.join(names)}: give NAME=FILE")
        if IMAGENET in self.transfer.references and IMAGENET not in names:
            print(
                f"No row {IMAGENET}: name weights of the detector's backbone by --imagenet FILE, timm:NAME or "
                "torchvision:NAME"
            )
        return dict(named)

    def run(self) -> None:
        for seed in self.args.seeds:
            for arm in self.arms():
                if arm in self.pretrainings:
                    self.pretrained(arm, seed)
        for arm in dict.fromkeys(RANDOM if arm == RANDOM_LONG else arm for arm in self.arms()):
            self.learning_rate(arm)
        for labels in self.args.labels:
            for seed in self.args.seeds:
                for arm in self.arms():
                    self.measure(labels, arm, seed)

    def arms(self) -> list[str]:
        """Those to run, in the order of tables.

        Raises:
            ValueError: one is asked for that does not exist.
        """
        known = [RANDOM, *([] if self.args.no_long else [RANDOM_LONG]), *self.pretrainings]
        strangers = [arm for arm in self.args.arms if arm not in known]
        if strangers:
            raise ValueError(f"--arms {' '.join(strangers)}: there is no such arm, of {', '.join(known)}")
        return [arm for arm in known if not self.args.arms or arm in self.args.arms]

    @cached_property
    def step_tflop(self) -> float:
        return step_tflop(self.config)

    def pretrained(self, arm: str, seed: int) -> str:
        """What an arm's fine-tuning takes as init; pretrained where it is not there yet."""
        if arm == RANDOM:
            return RANDOM
        source = self.pretrainings[arm]
        if is_library(source):
            return source
        if not source.startswith(CLUSTERS) and Path(source).suffix != ".py":
            init = source.replace("{seed}", str(seed))
            if not Path(init).is_file():
                raise FileNotFoundError(f"checkpoint {init} of {arm}, seed {seed}, does not exist")
            return init
        work_dir = self.work_dir / "pretraining" / f"{arm}_{seed}"
        if not (work_dir / "done").exists():
            if source.startswith(CLUSTERS):
                self.learn_clusters(source.removeprefix(CLUSTERS), seed, work_dir)
            else:
                config = pretraining.load_config(source, self.args.data_root)
                fit_to_budget(config, self.args.tflop)
                resume = None if latest_checkpoint(work_dir) is None else "auto"
                pretraining.pretrain(config, work_dir, resume=resume, seed=seed)
            (work_dir / "done").touch()
        return latest_checkpoint(work_dir)

    def learn_clusters(self, arm: str, seed: int, work_dir: Path) -> None:
        """Train a detector on the clusters of a pretraining, for as many operations as that one cost."""
        config = copy.deepcopy(self.config)
        self.transfer.use_pseudo_boxes(config, self.pretrained(arm, seed), work_dir)
        set_iterations(config, max(1, round(self.args.tflop / self.step_tflop)))
        self.transfer.finetune(config, RANDOM, work_dir, seed=seed)

    def learning_rate(self, arm: str) -> tuple[float, float]:
        """An initialisation's rate and the backbone's part of it, searched once, with the first seed."""
        factors, backbone_factors = self.args.lr_factors, self.args.backbone_lr
        if len(factors) == len(backbone_factors) == 1:
            return factors[0] * self.config.optim_wrapper.optimizer.lr, backbone_factors[0]
        rates = json.loads(self.rates_file.read_text()) if self.rates_file.exists() else {}
        key = f"{self.data} {arm}"
        if key not in rates:
            seed = self.args.seeds[0]
            found = self.transfer.search_learning_rate(
                self.config,
                self.pretrained(arm, seed),
                self.work_dir / "lr" / arm,
                factors,
                backbone_factors,
                self.args.lr_labels,
                seed,
            )
            rates = json.loads(self.rates_file.read_text()) if self.rates_file.exists() else {}
            write_json(self.rates_file, rates | {key: found}, indent=1)
            return found
        return tuple(rates[key])

    def measure(self, labels: float, arm: str, seed: int) -> None:
        """Fine-tune and add a row, unless it is there."""
        columns = columns_of(self.transfer)
        key = dict(zip(KEY, (self.data, f"{labels:g}", arm, str(seed)), strict=True))
        init = RANDOM if arm == RANDOM_LONG else arm
        config = copy.deepcopy(self.config)
        if arm == RANDOM_LONG:
            set_iterations(config, config.train_cfg.max_iters + round(self.args.tflop / self.step_tflop))
        for row in read_rows(self.args.csv, columns):
            if all(row[name] == key[name] for name in KEY):
                self.refuse_other_budget(row, config.train_cfg.max_iters)
                return
        lr, backbone_lr = self.learning_rate(init)
        set_learning_rate(config, lr, backbone_lr)
        step = self.step_tflop
        source = self.pretrained(init, seed)
        unknown = init == IMAGENET or is_library(source)
        pretraining_tflop = 0.0 if source == RANDOM else "" if unknown else self.args.tflop
        work_dir = run_folder(self.args.work_dirs, key)
        start = perf_counter()
        figures = self.transfer.finetune(config, source, work_dir, labels, seed)
        row = key | dict(
            lr=lr,
            backbone_lr=round(lr * backbone_lr, 6),
            iterations=config.train_cfg.max_iters,
            tflop=round(step * config.train_cfg.max_iters, 3),
            pretraining_tflop=pretraining_tflop,
            seconds=round(perf_counter() - start),
            core_seconds=round(figures[CORE_SECONDS]),
        )
        measured = {name: figures[name] for name in self.transfer.figures if name in figures}
        row |= {name: round(value, 5) for name, value in measured.items() if value == value}
        append_row(self.args.csv, row, columns)

    def refuse_other_budget(self, row: dict[str, str], iterations: int) -> None:
        """A row of a longer or shorter run is not what was asked for.

        Raises:
            ValueError: says which row, and what to do.
        """
        if int(row["iterations"]) != iterations:
            raise ValueError(
                f"{self.args.csv} holds {row['arm']} of seed {row['seed']} with {row['iterations']} iterations, not "
                f"{iterations}: name another --csv and other --work-dirs"
            )


def named_pretraining(text: str) -> tuple[str, str]:
    """Name and source of ``NAME=SOURCE`` or ``SOURCE``.

    Without a name, a config's is its stem, a checkpoint's that of its folder, and a library's weights have the one they
    are known by.
    """
    name, separator, file = text.rpartition("=")
    if separator:
        return name, file
    if is_library(file):
        return file.partition(":")[2], file
    path = Path(file)
    return (path.stem if path.suffix == ".py" else path.parent.name.removesuffix("_{seed}")), file


def parse(argv: Sequence[str] | None, description: str, example_labels: Sequence[float]) -> argparse.Namespace:
    """The command line of a comparison.

    Args:
        example_labels: the shares of the labels by default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", metavar="CONFIG", help="a detector's config; none: only report")
    parser.add_argument("--data-root", help="a set whose train and val splits are annotated")
    parser.add_argument(
        "--pretrain",
        nargs="+",
        default=[],
        metavar="FILE",
        help="pretraining configs or what --init takes: [NAME=]FILE, NAME=timm:NAME, or NAME=clusters:OTHER",
    )
    parser.add_argument(
        "--imagenet", metavar="INIT", help=f"FILE, timm:NAME or torchvision:NAME: weights of the arm {IMAGENET}"
    )
    parser.add_argument(
        "--labels",
        type=share_of,
        nargs="+",
        default=example_labels,
        help=f"default: {' '.join(f'{share:.0%}%' for share in example_labels)}",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--tflop", type=float, default=5, help="10^12 operations a pretraining (default: %(default)s)")
    parser.add_argument("--iterations", type=int, help="of fine-tuning; by default the config's")
    parser.add_argument(
        "--arms",
        nargs="+",
        default=[],
        metavar="NAME",
        help="run these alone (default: all)",
    )
    parser.add_argument("--no-long", action="store_true", help=f"leave out {RANDOM_LONG}")
    parser.add_argument(
        "--lr-factors", type=float, nargs="+", default=LR_FACTORS, help="of the config's rate (default: 0.5 1 2)"
    )
    parser.add_argument("--backbone-lr", type=float, nargs="+", default=[1.0], help="parts of it (default: 1)")
    parser.add_argument("--lr-labels", type=share_of, default=0.1, help="share that the rates are searched with")
    parser.add_argument("--over", nargs="+", default=[], metavar="NAME", help="differences to these arms")
    parser.add_argument("--csv", type=Path, default=Path("transfer.csv"), help="default: %(default)s")
    parser.add_argument("--work-dirs", type=Path, default=Path("work_dirs/transfer"), help="default: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override the detector's")
    args = parser.parse_args(argv)
    if args.config and not args.data_root:
        parser.error("runs need --data-root")
    return args


def main(
    transfer: Transfer, description: str, argv: Sequence[str] | None = None, labels: Sequence[float] = (0.01, 0.1, 1.0)
) -> int:
    """Run a comparison's command line.

    Args:
        transfer: of the project.
        description: its help.
        labels: the shares of the labels by default.
    """
    args = parse(argv, description, labels)
    try:
        if args.config:
            with options_explained(args.cfg_options):
                Comparison(transfer, args).run()
        report(args.csv, transfer, args.over, args.work_dirs)
    except (OSError, ValueError, UntrustedCheckpoint, DivergedError) as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    return 0
