"""Make a demo set from a seed: a small COCO-format detection set, or simulated LiDAR sweeps in KITTI's format.

Example:
    python tools/make_demo_data.py data/demo
    python tools/make_demo_data.py --lidar data/demo_lidar
    python tools/make_demo_data.py --sequences data/demo_sequences     # moving road users, in nuScenes' layout
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import at_least, command, command_parser, seed

# the kinds of sets, with their default numbers of training and validation examples
NUMBERS = {"images": (512, 128), "simulated sweeps": (160, 40), "simulated sequences": (20, 5)}


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("out", type=Path, help="folder to create; kept if it already holds the same set")
    lidar = parser.add_mutually_exclusive_group()
    lidar.add_argument("--lidar", action="store_true", help="LiDAR sweeps instead of images")
    lidar.add_argument("--sequences", action="store_true", help="sequences of LiDAR sweeps in which road users move")
    parser.add_argument(
        "--train", type=at_least(1), help="training examples (default: 512 images, 160 sweeps or 20 sequences)"
    )
    parser.add_argument(
        "--val", type=at_least(0), help="validation examples (default: 128 images, 40 sweeps or 5 sequences)"
    )
    parser.add_argument("--sensor", help="the simulated scanner: HDL-64E (default) or HDL-32E (default of --sequences)")
    parser.add_argument("--seed", type=seed, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=at_least(1), help="processes (default: one per core, at most 8 for images)")
    args = parser.parse_args(argv)
    if args.sensor and not (args.lidar or args.sequences):
        parser.error("--sensor needs --lidar or --sequences")
    kind = "simulated sweeps" if args.lidar else "simulated sequences" if args.sequences else "images"
    train, val = (
        default if given is None else given
        for given, default in zip((args.train, args.val), NUMBERS[kind], strict=True)
    )
    if args.lidar:
        from ccrop.projects.lidar_bev.simulation import make_demo_sweeps

        make_demo_sweeps(args.out, train, val, args.sensor or "HDL-64E", args.seed, args.workers)
    elif args.sequences:
        from ccrop.projects.lidar_bev.simulation import make_demo_sequences

        make_demo_sequences(args.out, train, val, args.sensor or "HDL-32E", args.seed, args.workers)
    else:
        from ccrop.datasets.demo import make_demo_set

        make_demo_set(args.out, train, val, args.seed, args.workers)
    print(f"{args.out}: {train} training and {val} validation {kind}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
