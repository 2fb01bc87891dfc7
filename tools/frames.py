"""Extract frames of videos into a folder of unlabeled images: tools/frames.py SOURCE OUT --every 30

SOURCE is a video, or a folder of them, nested or not; OUT/VIDEO/FRAME.jpg is what pretraining on folders reads. OUT is
written completely or not at all.

Example:
    python tools/frames.py flight.mp4 data/flight --every 30    # one per second at 30 fps
    python tools/train.py configs/simsiam_region_folder.py --data-root data/flight
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import at_least, command, command_parser


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a video, or a folder of videos")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create")
    parser.add_argument(
        "--every",
        type=at_least(1),
        default=30,
        metavar="N",
        help="keep every Nth frame; neighbors look alike (default: 30)",
    )
    args = parser.parse_args(argv)

    from ccrop.datasets.video import list_videos, write_frames
    from ccrop.files import new_folder
    from ccrop.wording import counted

    videos = list_videos(args.source)
    with new_folder(args.out) as folder:
        number = write_frames(videos, folder, args.every)
    print(f"{args.out}: {counted(number, 'frame')} of {counted(len(list(args.out.iterdir())), 'video')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
