"""Pack a set of images, so that no run decodes it again: tools/pack.py SOURCE PACK

    python tools/pack.py data/coco data/coco_256 --side 256
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco_256

All images under SOURCE are decoded and scaled once into a single memory-mapped file; PACK replaces
SOURCE as --data-root. COCO-format annotations are included, scaled like the images. If interrupted,
the same command continues. On a finished pack it compares pack and source; --check reads every byte.
"""

import sys
from collections.abc import Sequence

from ccrop.cli import at_least, command, command_parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("source", metavar="SOURCE", help="the data root with the image files")
    parser.add_argument("pack", metavar="PACK", help="folder to create")
    parser.add_argument("--side", type=int, metavar="N", help="scale down images whose shorter side has more pixels")
    parser.add_argument(
        "--channels", type=at_least(1), default=3, help="channels of the images, as in configs (default: %(default)s)"
    )
    parser.add_argument(
        "--white", type=at_least(1), default=65535, help="white level of 16-bit gray images, as in configs"
    )
    parser.add_argument(
        "--workers", type=at_least(0), default=0, metavar="N", help="decoding processes (default: this one)"
    )
    parser.add_argument("--check", action="store_true", help="read the whole pack and verify its checksums")
    args = parser.parse_args(argv)

    from ccrop.datasets.packed import PIXELS
    from ccrop.datasets.packing import pack_images

    pack = pack_images(args.source, args.pack, args.side, args.channels, args.white, args.workers)
    if args.check:
        pack.verify()
    unreadable = pack.settings["unreadable"]
    size = (pack.folder / PIXELS).stat().st_size / 1e6
    print(f"{pack.folder}: {len(pack.names)} images, {size:.1f} MB; {len(unreadable)} unreadable")
    for name, reason in sorted(unreadable.items())[:10]:
        print(f"  {name}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
