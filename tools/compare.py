"""Compare pretrainings at equal compute, without a detector: configs x seeds, one CSV row a run.

    python tools/compare.py configs/comparison/*.py --data-root data/coco --csv comparison.csv
    python tools/compare.py configs/*_{rcrop,ccrop}_cifar10.py --data-root data/cifar10 --epochs 30 --csv methods.csv
    python tools/compare.py --csv comparison.csv

Every run gets the whole epochs that come nearest to the budget of training FLOPs, localisation not counted, or
--epochs, and is then measured. Annotated images: RoI-kNN and object-kNN of the val split, and how the run's boxes find
the objects of the train split. Images with classes: kNN and linear classification. A run whose row is there is not
repeated, so an interrupted comparison goes on where it stopped. ``untrained`` in place of a config gives the weights
that the runs start from. Every call ends with a Markdown table and a plot beside the CSV.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from ccrop.cli import command, command_parser, config_file
from ccrop.tools.comparisons import UNTRAINED


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument(
        "configs", type=config_file, nargs="*", metavar="CONFIG", help=f"configs, or {UNTRAINED}; none: only report"
    )
    parser.add_argument("--data-root", help="a set with annotations or classes")
    parser.add_argument("--csv", type=Path, default=Path("comparison.csv"), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--tflop", type=float, default=5, help="10^12 operations a run (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="of every run, instead of a budget")
    parser.add_argument("--bank", type=int, default=300, help="train images of RoI-kNN (default: %(default)s)")
    parser.add_argument("--queries", type=int, default=500, help="val images of RoI-kNN (default: %(default)s)")
    parser.add_argument(
        "--min-queries", type=int, default=50, help="RoI-kNN leaves rarer categories out (default: %(default)s)"
    )
    parser.add_argument("--objects", type=int, default=1000, help="objects of object-kNN a side (default: %(default)s)")
    parser.add_argument("--tag", default="", help="appended to the arms' names, for variants by --cfg-options")
    parser.add_argument("--work-dirs", type=Path, default=Path("work_dirs/comparison"), help="default: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="K=V", help="override the configs")
    args = parser.parse_args(argv)
    args.configs_of = [path for path in args.configs if path != UNTRAINED]
    if args.configs and not (args.data_root and args.configs_of):
        parser.error("runs need --data-root and at least one config")
    return args


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)

    from ccrop.runner import options_explained
    from ccrop.tools.comparisons.engine import measure_all, report

    if args.configs:
        with options_explained(args.cfg_options):
            measure_all(args)
    report(args.csv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
