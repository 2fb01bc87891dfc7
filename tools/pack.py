"""Pack a set of images, so that no run decodes it again: tools/pack.py SOURCE PACK

    python tools/pack.py data/coco data/coco_256 --side 256
    python tools/train.py configs/simsiam_ccrop_coco.py --data-root data/coco_256

All images below SOURCE are decoded and scaled once and lie in one file, which is mapped into memory; PACK takes the
place of SOURCE as --data-root. Annotations in COCO's format come along, scaled as the images are. After a kill, the
same command goes on. On a pack that is finished it compares pack and source, every byte of it with --check.
"""

import sys
from collections.abc import Sequence

from ccrop.cli import command, command_parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("source", metavar="SOURCE", help="the data root with the image files")
    parser.add_argument("pack", metavar="PACK", help="the folder to make")
    parser.add_argument("--side", type=int, metavar="N", help="scale images whose shorter side has more pixels")
    parser.add_argument("--channels", type=int, default=3, help="of the images, as in configs (default: %(default)s)")
    parser.add_argument("--white", type=int, default=65535, help="in grey images of 16 bits, as in configs")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that decode (default: this one)")
    parser.add_argument("--check", action="store_true", help="read the whole pack and compare its checksums")
    args = parser.parse_args(argv)

    from ccrop.datasets.pack import PIXELS
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
