"""Export the backbone of a pretraining checkpoint: tools/export.py CHECKPOINT --to mmdet OUT"""

import sys
from collections.abc import Sequence

import ccrop.export
from ccrop.cli import command, command_parser
from ccrop.config_names import config_file


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(ccrop.export.__doc__)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint of a pretraining run")
    parser.add_argument("--to", required=True, dest="framework", metavar="FRAMEWORK", help="one of the above")
    parser.add_argument("out", metavar="OUT", help="file or folder to write")
    parser.add_argument(
        "--config",
        type=config_file,
        metavar="FILE",
        help="config of the run; default: the one in the checkpoint",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = parser.parse_args(argv)
    what = ccrop.export.export_backbone(args.checkpoint, args.framework, args.out, args.force, args.config)
    print(f"{args.out}: {what} for {args.framework}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
