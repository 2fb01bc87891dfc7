"""Only the annotated objects that pseudo-boxes find, the others ignored: what do wrong and missing boxes cost?

python projects/studies/pseudo_boxes/oracle.py work_dirs/RUN/round_0/boxes.json --data-root ROOT --out found.json

The file is for tools/finetune.py --pseudo-boxes: every object that a pseudo-box overlaps by an IoU of 0.5, with its
annotated box, and all other objects as crowds, where a detector learns neither objects nor background.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from ccrop.cli import command, command_parser, seed
from ccrop.datasets.coco import annotations_of, find_annotations
from ccrop.files import write_json
from ccrop.projects.detection_transfer.pseudo_boxes import boxes_by_image

IOU = 0.5


def found_objects(objects: dict[str, Any], boxes: dict[str, Any]) -> NDArray[np.bool_]:
    """Which annotated objects ``(G,)``, in their order, a pseudo-box finds.

    Args:
        objects: the annotations of a split, of one category.
        boxes: the pseudo-boxes.
    """
    guesses = boxes_by_image(boxes)
    names = {image["id"]: image["file_name"] for image in objects["images"]}
    return np.array(
        [
            _is_found(each["bbox"], guesses.get(names[each["image_id"]], np.zeros((0, 4))))
            for each in objects["annotations"]
        ],
        dtype=bool,
    )


def _is_found(box: Sequence[float], guesses: NDArray[np.float64]) -> bool:
    x, y, width, height = box
    own = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float64)
    return bool((box_iou(own, torch.from_numpy(guesses)) >= IOU).any())


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("boxes", type=Path, help="pseudo-boxes in COCO's format")
    parser.add_argument("--data-root", required=True, type=Path, help="a COCO-format set with an annotated train split")
    parser.add_argument("--at-random", type=seed, metavar="SEED", help="instead as many objects, drawn at random")
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    args = parser.parse_args(argv)
    file = find_annotations(args.data_root, "train")
    objects = annotations_of(args.data_root, "train", file, agnostic=True).content
    found = found_objects(objects, json.loads(args.boxes.read_text()))
    if args.at_random is not None:
        found = np.random.default_rng(args.at_random).permutation(found)
    kept = [
        each | dict(iscrowd=int(each["iscrowd"] or not learned))
        for each, learned in zip(objects["annotations"], found, strict=True)
    ]
    write_json(args.out, objects | dict(annotations=kept))
    print(f"{args.out}: {found.sum():,} objects, {(~found).sum():,} ignored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
