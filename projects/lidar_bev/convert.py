"""Encoder weights to and from OpenPCDet and mmdetection3d, with a report of what went where.

    python projects/lidar_bev/convert.py export openpcdet work_dirs/simsiam_ccrop_bev_kitti/epoch_80.pth pillars.pth
    python projects/lidar_bev/convert.py import openpcdet pointpillar_7728.pth imported.pth
    python tools/finetune.py projects/lidar_bev/configs/centerpoint_pillar_kitti.py --init imported.pth --labels 5%

With --into, the result is a complete checkpoint of the target layout, with all tensors of the same name and shape
replaced. In mmdetection3d, exported pillars need legacy=False in the voxel encoder.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ccrop.cli import command, command_parser
from ccrop.compat.safe_checkpoint import load_checkpoint
from ccrop.files import written
from ccrop.projects.lidar_bev.interop import FRAMEWORKS, export_encoder, import_encoder


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("direction", choices=("export", "import"))
    parser.add_argument("framework", choices=FRAMEWORKS)
    parser.add_argument("checkpoint", metavar="CHECKPOINT")
    parser.add_argument("out", type=Path, metavar="OUT", help="the file to write")
    parser.add_argument("--into", metavar="FILE", help="a checkpoint of the target layout to fill in")
    parser.add_argument(
        "--z-middle",
        type=float,
        default=-1.0,
        help="import: height of the pillars' centers in meters (default: %(default)s)",
    )
    parser.add_argument(
        "--legacy", action="store_true", help="import from mmdet3d: the model was trained with legacy=True"
    )
    parser.add_argument(
        "--conv-for-no-stride",
        action="store_true",
        help="the other neck was built with this option, as CenterPoint's is",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = parser.parse_args(argv)
    if args.out.exists() and not args.force:
        raise FileExistsError(f"{args.out} exists; --force replaces it")
    checkpoint = load_checkpoint(args.checkpoint)
    into = load_checkpoint(args.into) if args.into else None
    if args.direction == "export":
        content, report = export_encoder(checkpoint, args.framework, into, args.conv_for_no_stride)
    else:
        content, report = import_encoder(
            checkpoint, args.framework, into, args.z_middle, args.legacy, args.conv_for_no_stride
        )
    with written(args.out) as partial:
        torch.save(content, partial)
    print(f"{args.out}: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
