"""Fine-tune a detector from a pretrained backbone: tools/finetune.py CONFIG --init SOURCE

With --pseudo-boxes a detector learns boxes that nobody annotated instead of labels, and can itself be an --init. With
--teacher it learns the labels and the boxes that a fine-tuned detector finds on images or sweeps without labels.

Example:
    python tools/finetune.py projects/detection_transfer/configs/faster-rcnn_r18_fpn_small.py --init random \\
        --data-root data/coco --labels 10%
    python tools/finetune.py projects/detection_transfer/configs/fcos_r50_fpn_1x_coco.py --init torchvision:resnet50
    python tools/finetune.py projects/lidar_bev/configs/centerpoint_pillar_demo.py --init random --labels 5%
"""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ccrop.cli import (
    BACKBONE_HELP,
    INIT_HELP,
    PACKAGE,
    OptionsAction,
    at_least,
    command,
    command_parser,
    not_negative,
    positive,
    seed,
)
from ccrop.compat.safe_yaml import read_config_file
from ccrop.config_names import config_file
from ccrop.config_parts import parts
from ccrop.wording import command_line

if TYPE_CHECKING:
    from mmengine.config import Config

    from ccrop.transfer import Transfer


def transfer_of(config: str | Path) -> "Transfer":
    """What fine-tunes a config's detector: ``TRANSFER`` of the module that its ``finetuning`` names.

    Raises:
        FileNotFoundError: there is no such config; names detector configs with similar names.
        ValueError: it is not a detector's config.
    """
    pretraining = ValueError(f"{config} is not a detector's config: use tools/train.py for pretraining")
    if not Path(config).is_file():
        name = Path(config).stem
        if name.partition("_")[0] in parts("methods"):
            raise pretraining
        known = sorted(file.stem for file in PACKAGE.glob("projects/*/configs/*.py"))
        alike = ", ".join(get_close_matches(name, known, n=3, cutoff=0.5))
        raise FileNotFoundError(f"config {config} does not exist" + (f"; did you mean {alike}?" if alike else ""))
    settings = read_config_file(config)
    if "augment" in settings:
        raise pretraining

    from ccrop.transfer.prediction import finetuning_of

    return import_module(finetuning_of(settings)).TRANSFER


def finetuned(args: argparse.Namespace, command: str) -> str:
    """Fine-tune as the only run in the work_dir, write a report, and return the metrics as one line."""
    from ccrop.checkpoint.newest import checkpoint_to_resume
    from ccrop.mixed_precision import set_precision
    from ccrop.report import write_after_run
    from ccrop.runner import default_work_dir
    from ccrop.transfer import fraction_of, join_processes, set_iterations
    from ccrop.work_dir import locked

    labels = fraction_of(args.labels)
    transfer = transfer_of(args.config)
    config = transfer.load_config(
        args.config, args.data_root, args.cfg_options, args.backbone, labeled=args.pseudo_boxes is None
    )
    config.command = command
    set_teacher(config, args.teacher, args.unlabeled)
    join_processes(config, args.launcher)
    if args.iterations is not None:
        set_iterations(config, args.iterations)
    if args.amp is not None:
        set_precision(config, args.amp)
    work_dir = args.work_dir or default_work_dir(config)
    checkpoint_to_resume(work_dir, args.resume)
    with locked(work_dir):
        if args.resume is None:
            learned = config.get("self_training") or {}
            move_earlier_run(work_dir, [args.init, args.pseudo_boxes, learned.get("teacher"), learned.get("unlabeled")])
        metrics = trained(args, transfer, config, work_dir, labels)
    write_after_run(work_dir)
    return transfer.line(metrics, transfer.data_name(Path(args.data_root or config.default_data_root)))


def set_teacher(config: "Config", teacher: str | None, unlabeled: str | None) -> None:
    """Set the ``self_training`` of a config, as far as it is given.

    Raises:
        ValueError: the config's detectors do not learn from a teacher, or not from further examples; or there are such,
            but no teacher.
    """
    given = {name: value for name, value in dict(teacher=teacher, unlabeled=unlabeled).items() if value is not None}
    if not given:
        return
    if not config.get("self_training"):
        raise ValueError(
            f"--{next(iter(given))} needs a section self_training in the config, as COCO-format detectors have it from "
            "projects/detection_transfer/configs/_base_/coco.py"
        )
    if "unlabeled" in given and "unlabeled" not in config.self_training:
        raise ValueError(
            "--unlabeled applies to images: a teacher of sweeps finds boxes in those of the training split that "
            "--labels leaves out"
        )
    config.self_training.update(given)
    if config.self_training.teacher is None:
        raise ValueError("--unlabeled is of --teacher, which is missing")


def move_earlier_run(work_dir: Path, sources: Sequence[str | None]) -> None:
    """Move an earlier run with checkpoints aside, including those of a learning-rate search.

    Raises:
        ValueError: one of the ``sources`` of the new run is a file of the earlier one.
    """
    from mmengine.dist import barrier, is_main_process

    from ccrop.checkpoint.newest import latest_checkpoint
    from ccrop.work_dir import set_aside

    earlier = any(map(latest_checkpoint, (work_dir, *work_dir.glob("lr_*"))))
    barrier()  # every process has looked before one of them moves the folder
    if earlier:
        if is_main_process():
            set_aside(work_dir, sources=sources)
        barrier()


def trained(
    args: argparse.Namespace, transfer: "Transfer", config: "Config", work_dir: Path, labels: float
) -> dict[str, float]:
    """Search the learning rates if requested, fine-tune, and return the metrics."""
    from ccrop.transfer import LR_FACTORS, set_learning_rate

    if args.pseudo_boxes:
        number = {} if args.max_boxes is None else dict(max_boxes=args.max_boxes)
        transfer.use_pseudo_boxes(config, args.pseudo_boxes, work_dir, **number)
    rates = config.optim_wrapper.optimizer.lr, args.backbone_lr[0]
    if args.lr_search is not None or len(args.backbone_lr) > 1:
        factors = [1.0] if args.lr_search is None else args.lr_search or LR_FACTORS
        rates = transfer.search_learning_rate(
            config, args.init, work_dir, factors, args.backbone_lr, labels, args.seed, args.resume is not None
        )
    set_learning_rate(config, *rates)
    return transfer.finetune(
        config,
        args.init,
        work_dir,
        labels,
        args.seed,
        resume=args.resume,
        val_interval=args.val_interval,
        allow_changes=args.allow_changes,
    )


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("config", type=config_file, metavar="CONFIG", help="a detector's config in projects/*/configs/")
    parser.add_argument("--init", required=True, metavar="SOURCE", help=INIT_HELP)
    parser.add_argument("--backbone", metavar="NAME", help=BACKBONE_HELP)
    parser.add_argument("--data-root", help="the data set (default: the config's)")
    parser.add_argument(
        "--labels",
        default="100%",
        metavar="FRACTION",
        help="fraction of the labels: 1%%, 10%%, ... (default: %(default)s)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of examples, weights and batches (default: 0)")
    parser.add_argument("--iterations", type=at_least(1), help="length of the run (default: the config's)")
    parser.add_argument(
        "--lr-search",
        type=positive,
        nargs="*",
        metavar="FACTOR",
        help="search the learning rate over these factors (default: 0.5 1 2)",
    )
    parser.add_argument(
        "--backbone-lr",
        type=not_negative,
        nargs="+",
        default=[1.0],
        metavar="FACTOR",
        help="the backbone's learning rate as a fraction of the rest's; several are searched (default: 1)",
    )
    parser.add_argument(
        "--pseudo-boxes",
        metavar="SOURCE",
        help="learn class-agnostic boxes instead of labels: a COCO-format file, or the clusters of a checkpoint",
    )
    parser.add_argument(
        "--teacher",
        metavar="DETECTOR",
        help="a fine-tuned detector's work_dir or checkpoint: learn its boxes on images or sweeps without labels, too",
    )
    parser.add_argument(
        "--unlabeled", metavar="FOLDER", help="images for --teacher besides those of the train split without labels"
    )
    parser.add_argument(
        "--max-boxes", type=at_least(1), metavar="N", help="keep the best per image or sweep (default: 16; sweeps: 64)"
    )
    parser.add_argument(
        "--work-dir",
        type=Path,
        help="default: work_dirs/ and the config's name; an earlier run there is renamed unless it is resumed",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="FILE",
        help="resume from FILE, or from the newest checkpoint in the work_dir",
    )
    parser.add_argument("--allow-changes", action="store_true", help="resume even though settings or data have changed")
    parser.add_argument("--amp", choices=("bf16", "fp16", "no"), help="mixed precision, or off (default: the config's)")
    parser.add_argument(
        "--launcher",
        choices=("none", "pytorch", "slurm", "mpi"),
        default="none",
        help="what started the processes that train together (default: one process)",
    )
    parser.add_argument(
        "--val-interval",
        type=at_least(1),
        metavar="N",
        help="test every N iterations (default: only after the last one)",
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="K=V", help="override config settings"
    )
    args = parser.parse_args(argv)
    if args.teacher is not None and args.pseudo_boxes is not None:
        parser.error("--pseudo-boxes replaces the labels that --teacher adds boxes to: pass one of them")
    if args.max_boxes is not None and args.pseudo_boxes is None:
        parser.error("--max-boxes is of --pseudo-boxes, which is missing")
    if args.allow_changes and args.resume is None:
        parser.error("--allow-changes is of --resume, which is missing")

    import torch
    from mmengine.dist import is_main_process

    from ccrop.config_options import options_explained

    if args.amp == "fp16" and not torch.cuda.is_available():
        parser.error("--amp fp16 needs a GPU; bf16 runs on the CPU too")
    with options_explained(args.cfg_options):
        line = finetuned(args, command_line(["tools/finetune.py", *(sys.argv[1:] if argv is None else argv)]))
    if is_main_process():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
