"""Pretrain a backbone, or a whole detector: tools/train.py CONFIG

Example:
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco --init torchvision:resnet50
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco --backbone timm:convnext_tiny
    python tools/train.py configs/detector_paste_coco.py --data-root data/coco
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mmengine.config import Config, DictAction

from ccrop.cli import BACKBONE_HELP, INIT_HELP, command, command_parser, config_file


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("config", type=config_file, metavar="CONFIG", help="a file of configs/, or its name")
    parser.add_argument("--backbone", metavar="NAME", help=BACKBONE_HELP)
    parser.add_argument("--data-root", help="the data's folder; by default the config's, or the demo set without any")
    parser.add_argument("--work-dir", help="default: work_dirs/ and the config's name")
    parser.add_argument("--init", metavar="SOURCE", help=INIT_HELP)
    parser.add_argument("--resume", nargs="?", const="auto", metavar="FILE", help="go on: from FILE, or the newest")
    parser.add_argument("--allow-changes", action="store_true", help="resume with other settings than before")
    parser.add_argument("--amp", nargs="?", const="bf16", choices=("bf16", "fp16"), help="mixed precision")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="K=V", help="override the config")
    args = parser.parse_args(argv)

    import torch

    from ccrop.runner import load_config, options_explained, pretrain

    if args.amp == "fp16" and not torch.cuda.is_available():
        parser.error("--amp fp16 needs a GPU; bf16 runs on the CPU too")
    detector = Path(args.config).is_file() and Config.fromfile(args.config).get("pretraining")
    if detector and (args.launcher != "none" or args.amp or args.resume not in (None, "auto")):
        parser.error(f"{args.config} trains a detector: in one process, and --resume takes no FILE")
    with options_explained(args.cfg_options):
        if detector:
            import_module(detector).pretrain(
                args.config,
                args.data_root,
                args.cfg_options,
                args.backbone,
                args.work_dir,
                args.init,
                args.seed,
                resume=args.resume is not None,
            )
            return 0
        config = load_config(args.config, args.data_root, args.cfg_options, args.backbone)
        pretrain(
            config,
            args.work_dir,
            args.launcher,
            resume=args.resume,
            amp=args.amp,
            seed=args.seed,
            init=args.init,
            allow_changes=args.allow_changes,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
