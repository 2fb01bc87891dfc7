"""Divide a labeled set into train and val by its images: tools/split.py SOURCE OUT --val 20%

SOURCE is in any format of tools/convert.py, and OUT is written likewise: a COCO-format set with links to the images,
written completely or not at all; SOURCE is left unchanged. Every category is divided in the same proportion, as closely
as whole images allow, and the same --seed gives the same split. Images of one scene in both splits make any metric look
better than it is: keep them together with --together.

Example:
    python tools/split.py downloads/labelstudio data/birds --val 20%
    python tools/split.py data/drone data/drone_split --val 0.1 --together '^[^_]+_[0-9]+'    # time and place
    python tools/split.py data/voc data/voc_split --of train    # its other splits are kept
"""

import argparse
import re
import sys
from collections.abc import Sequence

from ccrop.cli import command, command_parser, seed
from ccrop.tools.convert import add_source


def regex(text: str) -> re.Pattern[str]:
    """A regular expression as an argument."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text} is not a regular expression ({error})") from error


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    add_source(parser)
    parser.add_argument("--val", default="20%", metavar="FRACTION", help="fraction of the images (default: 20%%)")
    parser.add_argument("--of", metavar="SPLIT", help="the split to divide, if there are several")
    parser.add_argument(
        "--together",
        metavar="REGEX",
        type=regex,
        help="keep images together whose names have the same match, or first group",
    )
    parser.add_argument("--seed", type=seed, default=0, help="default: %(default)s")
    args = parser.parse_args(argv)

    from ccrop.datasets.formats import read_labeled
    from ccrop.datasets.formats.coco_set import write_set
    from ccrop.datasets.formats.dividing import divide_train
    from ccrop.files import refuse_existing
    from ccrop.transfer.labels import fraction_of

    fraction = fraction_of(args.val, "images")
    if fraction == 1:
        raise ValueError(f"--val {args.val} leaves no image for training")
    refuse_existing(args.out)
    splits = read_labeled(args.source, args.format, args.ann_file)
    write_set(args.out, divide_train(splits, fraction, args.seed, args.of, args.together), args.copy)
    return 0


if __name__ == "__main__":
    sys.exit(main())
