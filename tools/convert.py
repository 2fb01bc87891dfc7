"""Convert a labeled set of any common format to a COCO-format set, and check it: tools/convert.py SOURCE OUT

The format and the splits of a set are detected:

    coco      of Roboflow, CVAT, Label Studio, FiftyOne, LVIS, or a folder with one JSON file
    yolo      data.yaml of Ultralytics, or classes.txt, with labels/ next to images/: boxes, outlines, oriented boxes
    voc       Pascal VOC's XML, in Annotations/ or next to the images
    visdrone  VisDrone-DET; ignored regions and others become crowds of every category
    dota      DOTA; oriented boxes become axis-aligned ones

OUT is a COCO-format set, OUT/SPLIT/ and OUT/annotations/instances_SPLIT.json, with links to the images; it is written
completely or not at all. Repairs are counted; unusable entries are refused with file and line.

Example:
    python tools/convert.py downloads/roboflow data/cars
    python tools/convert.py photos/ data/photos --ann-file exports/labels.json
    python tools/convert.py datasets/drone data/drone --format yolo --copy
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ccrop.cli import command, command_parser

FORMATS = ("coco", "yolo", "voc", "visdrone", "dota")


def add_source(parser: argparse.ArgumentParser) -> None:
    """The arguments for the source and the destination."""
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of the data set")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to create")
    parser.add_argument("--format", choices=FORMATS, help="default: detected")
    parser.add_argument("--ann-file", type=Path, metavar="FILE", help="COCO's JSON or YOLO's YAML, wherever it is")
    parser.add_argument("--copy", action="store_true", help="copy the images instead of linking them")


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    add_source(parser)
    args = parser.parse_args(argv)

    from ccrop.datasets.formats import read_labeled
    from ccrop.datasets.formats.coco_set import write_set
    from ccrop.files import refuse_existing

    refuse_existing(args.out)
    write_set(args.out, read_labeled(args.source, args.format, args.ann_file), args.copy)
    return 0


if __name__ == "__main__":
    sys.exit(main())
