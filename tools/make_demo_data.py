"""Make a demo set from a seed: a small COCO-format detection set, or simulated LiDAR sweeps in KITTI's format.

Example:
    python tools/make_demo_data.py data/demo
    python tools/make_demo_data.py --lidar data/demo_lidar
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import command, command_parser

NUMBERS = {False: (512, 128), True: (160, 40)}  # numbers of training and validation examples, by --lidar


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("out", type=Path, help="folder to create; kept if it already holds the same set")
    parser.add_argument("--lidar", action="store_true", help="LiDAR sweeps instead of images")
    parser.add_argument("--train", type=int, help="training examples (default: 512 images or 160 sweeps)")
    parser.add_argument("--val", type=int, help="validation examples (default: 128 images or 40 sweeps)")
    parser.add_argument("--sensor", help="the simulated scanner: HDL-64E (default) or HDL-32E")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="processes (default: one per core, at most 8 for images)")
    args = parser.parse_args(argv)
    if args.sensor and not args.lidar:
        parser.error("--sensor needs --lidar")
    train, val = (
        default if given is None else given
        for given, default in zip((args.train, args.val), NUMBERS[args.lidar], strict=True)
    )
    if args.lidar:
        from ccrop.projects.lidar_bev.simulation import make_demo_sweeps

        make_demo_sweeps(args.out, train, val, args.sensor or "HDL-64E", args.seed, args.workers)
    else:
        from ccrop.datasets.demo import make_demo_set

        make_demo_set(args.out, train, val, args.seed, args.workers)
    kind = "simulated sweeps" if args.lidar else "images"
    print(f"{args.out}: {train} training and {val} validation {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
