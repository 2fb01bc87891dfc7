"""Pretrain a backbone, or a complete detector: tools/train.py CONFIG

Example:
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco --init torchvision:resnet50
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco --backbone timm:convnext_tiny
    python tools/train.py configs/simclr_region_folder_r18.py --data-root photos/ --epochs 50 --lr 1.6
    python tools/train.py configs/detector_paste_coco.py --data-root data/coco
    python tools/train.py --list

A config is a file, or a name that is composed of parts: configs/METHOD_CROP_DATA[_VARIANT].py.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ccrop.cli import BACKBONE_HELP, INIT_HELP, OptionsAction, command, command_parser, seed
from ccrop.compat.safe_yaml import read_config_file
from ccrop.config_names import config_file
from ccrop.wording import command_line

# the settings that everyone changes have their own flags
SETTINGS = {
    "epochs": "train_cfg.max_epochs",
    "batch_size": "train_dataloader.batch_size",
    "lr": "optim_wrapper.optimizer.lr",
}


class ListConfigs(argparse.Action):
    """Prints the available configs and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from ccrop.config_parts import listing

        print(listing())
        parser.exit()


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument(
        "config", type=config_file, metavar="CONFIG", help="a file, or METHOD_CROP_DATA[_VARIANT].py, composed of parts"
    )
    parser.add_argument("--list", action=ListConfigs, nargs=0, help="list all parts and complete configs, and exit")
    parser.add_argument("--backbone", metavar="NAME", help=BACKBONE_HELP)
    parser.add_argument("--data-root", help="folder of the data; default: the config's, or else the demo set")
    parser.add_argument("--work-dir", help="default: work_dirs/ and the config's name")
    parser.add_argument("--init", metavar="SOURCE", help=INIT_HELP)
    parser.add_argument("--epochs", type=int, help="length of the run; warm-up and decay are fractions of it")
    parser.add_argument("--iterations", type=int, metavar="N", help="of a detector: length of each of its rounds")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per process")
    parser.add_argument("--lr", type=float, help="learning rate for the config's base batch (256 images)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="FILE",
        help="resume from FILE, or from the work_dir's newest checkpoint",
    )
    parser.add_argument("--allow-changes", action="store_true", help="resume even though settings or data have changed")
    parser.add_argument(
        "--amp", nargs="?", const="bf16", choices=("bf16", "fp16"), help="mixed precision; bf16 if none is named"
    )
    parser.add_argument("--seed", type=seed, help="default: the config's")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm", "mpi"),
        default="none",
        help="what started the processes that train together (default: one process)",
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override config settings"
    )
    args = parser.parse_args(argv)

    options = dict(args.cfg_options or {})
    for name, setting in SETTINGS.items():
        value = getattr(args, name)
        if value is not None:
            if not 0 < value < math.inf:
                parser.error(f"--{name.replace('_', '-')} must be positive, got {value}")
            options[setting] = value

    import torch

    from ccrop.config import load_config
    from ccrop.config_options import options_explained
    from ccrop.runner import default_work_dir, pretrain

    if args.amp == "fp16" and not torch.cuda.is_available():
        parser.error("--amp fp16 needs a GPU; bf16 runs on the CPU too")
    if args.allow_changes and args.resume is None:
        parser.error("--allow-changes is of --resume, which is missing")
    detector = Path(args.config).is_file() and read_config_file(args.config).get("pretraining")
    if detector and args.epochs is not None:
        parser.error(f"{args.config} is scheduled by iterations: set --iterations N")
    if args.iterations is not None and not detector:
        parser.error(f"{args.config} is scheduled by epochs: set --epochs N")
    if detector and (args.launcher != "none" or args.amp or args.allow_changes or args.resume not in (None, "auto")):
        parser.error(
            f"{args.config} trains a detector: use one process, and --resume without a FILE or --allow-changes"
        )
    called = command_line(["tools/train.py", *(sys.argv[1:] if argv is None else argv)])
    with options_explained(options):
        if detector:
            checkpoint = import_module(detector).pretrain(
                args.config,
                args.data_root,
                options,
                args.backbone,
                args.work_dir,
                args.init,
                args.seed,
                resume=args.resume is not None,
                iterations=args.iterations,
                command=called,
            )
            return report(checkpoint.parents[1])
        config = load_config(args.config, args.data_root, options, args.backbone)
        config.command = called
        work_dir = args.work_dir or default_work_dir(config)
        pretrain(
            config,
            work_dir,
            args.launcher,
            resume=args.resume,
            amp=args.amp,
            seed=args.seed,
            init=args.init,
            allow_changes=args.allow_changes,
        )
        return report(work_dir)


def report(work_dir: str | Path) -> int:
    """Write the report of a finished run."""
    from ccrop.report import write_after_run  # slow to import, and a run should start at once

    write_after_run(work_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
