"""Draw the demo set: a small COCO-format detection set, made from a seed.

Example:
    python tools/make_demo_data.py data/demo
"""

import argparse
from pathlib import Path

from ccrop.datasets.demo import make_demo_set


def main() -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("out", type=Path, help="folder of the set; kept if it holds the same set already")
    parser.add_argument("--train", type=int, default=512, help="training images (default: %(default)s)")
    parser.add_argument("--val", type=int, default=128, help="validation images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="processes (default: one a core, at most 8)")
    args = parser.parse_args()
    try:
        make_demo_set(args.out, args.train, args.val, args.seed, args.workers)
    except (FileExistsError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    print(f"{args.out}: {args.train} training and {args.val} validation images")


if __name__ == "__main__":
    main()
