"""Compare pretraining runs, or their value to a detector: arms x seeds, a CSV row per run, tables and plots.

    python tools/compare.py configs/comparison/*.py --data-root data/coco --csv comparison.csv
    python tools/compare.py configs/byol_{rcrop,single}_cifar10.py --data-root data/cifar10 --epochs 30 --csv m.csv
    python tools/compare.py projects/detection_transfer/configs/tiles_r18.py --data-root data/demo \\
        --pretrain configs/comparison/{rcrop,single,region_clusters}.py --labels 10% 100%
    python tools/compare.py projects/lidar_bev/configs/centerpoint_pillar_demo.py --data-root data/demo_lidar \\
        --pretrain projects/lidar_bev/configs/simsiam_ccrop_bev_demo.py
    python tools/compare.py --csv comparison.csv

Pretraining configs: every run gets --epochs, or the number of whole epochs closest to the budget of training FLOPs
(localization not counted), and is then measured. Annotated images: RoI-kNN and object-kNN of the val split, and how
well the run's boxes find the objects of the train split. Images with classes: kNN and a linear probe. ``untrained``
instead of a config measures the weights that the runs start from.

A detector's config: initializations x fractions of the labels x seeds. ``random`` starts from scratch, ``random_long``
trains longer by the cost of pretraining, and every arm of --pretrain is pretrained here, or given as a file.
Every initialization gets its own learning rate, chosen on held-out labeled data.

A run that already has its row is not repeated. An interrupted comparison continues where it stopped; runs left by an
earlier one with other settings are moved aside. Several processes may share a CSV and the work_dirs; the exit code is
3 if other processes still work on runs. Every call ends with a Markdown table and a plot next to the CSV; without a
config, it does nothing else.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ccrop.cli import OptionsAction, at_least, command, command_parser, not_negative, positive, seed
from ccrop.compat.safe_yaml import read_config_file
from ccrop.config_names import config_file
from ccrop.resume_advice import AGAIN
from ccrop.tools.finetune import transfer_of

if TYPE_CHECKING:
    from ccrop.experiments.initializations import InitializationStudy
    from ccrop.experiments.pretrainings import PretrainingStudy
    from ccrop.experiments.schema import Schema

INCOMPLETE = 3  # the exit code if other processes still work on runs
DETECTORS = ("ccrop.projects.detection_transfer.finetune", "ccrop.projects.lidar_bev.finetune")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument(
        "configs",
        type=config_file,
        nargs="*",
        metavar="CONFIG",
        help="pretraining configs, or the word untrained; or the config of one detector",
    )
    parser.add_argument("--data-root", help="a set with annotations or classes")
    parser.add_argument("--csv", type=Path, help="default: comparison.csv; for a detector transfer.csv")
    parser.add_argument("--seeds", type=seed, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument(
        "--tflop", type=positive, default=5, help="10^12 operations per pretraining (default: %(default)s)"
    )
    parser.add_argument("--over", nargs="+", default=[], metavar="NAME", help="report differences to these arms")
    parser.add_argument(
        "--work-dirs", type=Path, help="default: work_dirs/comparison; for a detector work_dirs/transfer"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override config settings"
    )
    own, foreign = add_detector(parser), add_pretrainings(parser)
    args = parser.parse_args(argv)
    if args.configs and not args.data_root:
        parser.error("runs need --data-root")
    args.detector = next(filter(is_detector, args.configs), None)
    if args.detector is None:
        own, foreign = foreign, own
    elif len(args.configs) > 1:
        parser.error(
            f"{args.detector} is a detector's config and must be the only one: pass pretrainings with --pretrain"
        )
    for action in foreign:
        if args.configs and getattr(args, action.dest) != action.default:
            kind = "pretrainings" if args.detector else "a detector's config"
            parser.error(f"{action.option_strings[0]} applies to {kind}, not to {args.configs[0]}")
    name = "transfer" if args.detector else "comparison"
    args.csv = args.csv or Path(f"{name}.csv")
    if args.csv.is_dir():
        parser.error(f"--csv {args.csv} is a folder: name a file in it")
    args.work_dirs = args.work_dirs or Path("work_dirs", name)
    return args


def add_pretrainings(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options for comparing pretraining runs."""
    add = parser.add_argument_group("pretraining configs").add_argument
    return [
        add("--epochs", type=at_least(1), help="epochs of every run, instead of a compute budget"),
        add("--tag", default="", help="appended to the arms' names, to tell variants made with --cfg-options apart"),
        add("--bank", type=at_least(1), default=300, help="train images of RoI-kNN (default: %(default)s)"),
        add("--queries", type=at_least(1), default=500, help="val images of RoI-kNN (default: %(default)s)"),
        add(
            "--min-queries",
            type=at_least(0),
            default=50,
            help="RoI-kNN leaves out rarer categories (default: %(default)s)",
        ),
        add("--objects", type=at_least(1), default=1000, help="objects per side of object-kNN (default: %(default)s)"),
    ]


def add_detector(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Options for comparing initializations of a detector."""
    add = parser.add_argument_group("a detector's config").add_argument
    pretrain = "pretraining configs or what --init takes: [NAME=]FILE, NAME=timm:NAME, or NAME=clusters:OTHER"
    return [
        add("--pretrain", nargs="+", default=[], metavar="FILE", help=pretrain),
        add("--imagenet", metavar="INIT", help="FILE, timm:NAME or torchvision:NAME: weights of the imagenet arm"),
        add(
            "--labels",
            nargs="+",
            default=[],
            metavar="FRACTION",
            help="default: 1%% 10%% 100%%; for sweeps 5%% 20%% 100%%",
        ),
        add("--iterations", type=at_least(1), help="iterations of fine-tuning; default: the config's"),
        add("--arms", nargs="+", default=[], metavar="NAME", help="run only these (default: all)"),
        add("--no-long", action="store_true", help="leave out random_long"),
        add("--lr-factors", type=positive, nargs="+", help="factors of the config's learning rate (default: 0.5 1 2)"),
        add(
            "--backbone-lr",
            type=not_negative,
            nargs="+",
            default=[1.0],
            help="the backbone's learning rate as fractions of the rest's (default: 1)",
        ),
        add(
            "--lr-labels", default="10%", metavar="FRACTION", help="labels for the learning-rate search (default: 10%%)"
        ),
    ]


def is_detector(config: str) -> bool:
    """Whether a config file defines a detector rather than a pretraining run."""
    return Path(config).is_file() and "augment" not in read_config_file(config)


def study_of(args: argparse.Namespace) -> "PretrainingStudy | InitializationStudy":
    """The study that the command line requests."""
    common = dict(data_root=args.data_root, work_dirs=args.work_dirs, seeds=args.seeds, tflop=args.tflop)
    common |= dict(options=args.cfg_options)
    if args.detector is None:
        from ccrop.experiments.class_measure import ClassMeasure
        from ccrop.experiments.object_measure import ObjectMeasure
        from ccrop.experiments.pretrainings import PretrainingStudy

        measures = (ObjectMeasure(args.bank, args.queries, args.min_queries, args.objects), ClassMeasure())
        return PretrainingStudy(args.configs, measures=measures, epochs=args.epochs, tag=args.tag, **common)

    from ccrop.experiments.initializations import InitializationStudy
    from ccrop.transfer import LR_FACTORS, fraction_of

    return InitializationStudy(
        transfer_of(args.detector),
        args.detector,
        pretrain=args.pretrain,
        imagenet=args.imagenet,
        labels=list(map(fraction_of, args.labels)),
        iterations=args.iterations,
        only=args.arms,
        long=not args.no_long,
        lr_factors=args.lr_factors or LR_FACTORS,
        backbone_factors=args.backbone_lr,
        lr_labels=fraction_of(args.lr_labels),
        **common,
    )


def schema_of(file: Path) -> "Schema":
    """The row schema of earlier runs.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its columns are not those of a comparison.
    """
    from ccrop.experiments.rows import header_of, same_columns

    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist: name configs to compare")
    header = header_of(file)
    for schema in known_schemas():
        if same_columns(header, schema.header):
            return schema
    raise ValueError(f"{file} does not have a comparison's columns")


def known_schemas() -> Iterator["Schema"]:
    """The schemas of all measures, then of all detectors, which take longer to import."""
    from ccrop.experiments import initializations
    from ccrop.experiments.class_measure import ClassMeasure
    from ccrop.experiments.object_measure import ObjectMeasure

    yield from (ObjectMeasure.schema, ClassMeasure.schema)
    for module in DETECTORS:
        yield initializations.schema_of(import_module(module).TRANSFER)


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)

    from ccrop.config_options import options_explained
    from ccrop.experiments.engine import run_missing
    from ccrop.experiments.summary import require_arms, write_summary

    left = []
    if args.configs:
        with options_explained(args.cfg_options):
            study = study_of(args)
            require_arms(args.over, args.csv, study.schema, study.arms)
            left = run_missing(study, args.csv)
        schema = study.schema
    else:
        schema = schema_of(args.csv)
        require_arms(args.over, args.csv, schema)
    write_summary(args.csv, schema, args.over, args.work_dirs)
    if left:
        print(
            f"{args.csv} is not complete: other processes work on {', '.join(left)}; {AGAIN} when they have ended",
            file=sys.stderr,
        )
    return INCOMPLETE if left else 0


if __name__ == "__main__":
    sys.exit(main())
