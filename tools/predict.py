"""Detect objects in unlabeled images or LiDAR sweeps with a fine-tuned detector: tools/predict.py DETECTOR SOURCE

SOURCE is a file, a folder, flat or nested, or with --split the root of a data set in the layout that the detector was
trained on. OUT is written completely or not at all. It holds files in the requested formats:

    csv       one row per box, in pixels or meters; file names are relative to SOURCE, or to the split's folder
    coco      for images: a COCO-format data set with scores, which tools/finetune.py --pseudo-boxes takes
    kitti     for sweeps: one label file with scores per sweep, and the calibration that defines their frame
    nuscenes  for sweeps: a result file of the nuScenes detection task

and pictures/, with boxes, names and scores; sweeps are shown from above, and sweeps.html shows the same
sweeps in 3D in any browser, without a server.

Example:
    python tools/predict.py work_dirs/tiles_r18 photos/ --to coco csv --min-score 0.4
    python tools/predict.py work_dirs/centerpoint_pillar_kitti data/kitti --split val --to kitti
    python tools/predict.py work_dirs/centerpoint_pillar_kitti sweeps/ --columns x y z intensity ring \\
        --intensity-scale 255
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from ccrop.cli import command, command_parser
from ccrop.config_names import config_file

FORMATS = ("csv", "coco", "kitti", "nuscenes")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    parser.add_argument(
        "detector", type=Path, metavar="DETECTOR", help="the work_dir of a fine-tuning, or one of its checkpoints"
    )
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a file, a folder, or a data set's root")
    parser.add_argument(
        "--to", nargs="+", choices=FORMATS, default=["csv"], dest="formats", help="output formats (default: csv)"
    )
    parser.add_argument("--out", type=Path, default=Path("predictions"), help="folder to create (default: %(default)s)")
    parser.add_argument(
        "--min-score", type=float, default=0.3, help="drop detections with a lower score (default: %(default)s)"
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=12,
        metavar="N",
        help="number of pictures, evenly spaced over SOURCE (default: %(default)s)",
    )
    parser.add_argument("--split", help="the split to use, such as val, if SOURCE is a data set")
    parser.add_argument("--config", type=config_file, help="config of the run; default: the one in the checkpoint")
    parser.add_argument(
        "--columns",
        nargs="+",
        metavar="NAME",
        help="values per point in the sweep files (default: those the detector takes)",
    )
    parser.add_argument(
        "--intensity-scale",
        type=float,
        metavar="VALUE",
        help="full-scale intensity of the sweep files: 1, 255 or 65535 (default: as in training)",
    )
    args = parser.parse_args(argv)
    if not 0 <= args.min_score <= 1:
        parser.error(f"--min-score must be in [0, 1], got {args.min_score:g}")
    if args.pictures < 0:
        parser.error(f"--pictures must be 0 or more, got {args.pictures}")
    return args


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)

    from ccrop.files import new_folder
    from ccrop.transfer.prediction import Request, detector_config, finetuning_of

    request = Request(**{field.name: getattr(args, field.name) for field in fields(Request)})
    project, _, _ = finetuning_of(detector_config(args.detector, args.config)).rpartition(".")
    with new_folder(args.out) as folder:
        line = import_module(f"{project}.predict").predict(request, folder)
    print(f"{args.out}: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
