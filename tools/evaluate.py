"""Evaluate without a detector.

pairs: what the two views of a pair have in common, for crops around annotated objects of a COCO-format set:

    python tools/evaluate.py pairs --data-root data/coco --split train
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch

from ccrop.datasets import MissingData
from ccrop.datasets.coco import annotated_boxes
from ccrop.evaluation import pair_statistics
from ccrop.views import ContrastiveCrop, MultiObjectCrop, RandomCrop

CROPS = {
    "random crop": RandomCrop(),
    "one box around all, alpha 0.1": ContrastiveCrop(0.1),
    "one box around all, alpha 0.6": ContrastiveCrop(0.6),
    "one object, its size": MultiObjectCrop(scene_prob=0),
    "one object, its size, 20 % scenes": MultiObjectCrop(),
}


def pairs(args: argparse.Namespace) -> None:
    """Print a Markdown table, one row a crop."""
    images = [image for image in annotated_boxes(args.data_root, args.split) if len(image.boxes)]
    print(f"{len(images)} annotated images of {args.data_root}, {args.draws} pairs each, seed {args.seed}\n")
    print("| crop | common object | IoU of views | its share of a view: small | medium | large |")
    print("|---|---|---|---|---|---|")
    counts = torch.tensor([len(image.boxes) for image in images])
    objects = torch.zeros(len(images), int(counts.max()), 4, dtype=torch.float64)
    for number, image in enumerate(images):
        objects[number, : len(image.boxes)] = torch.from_numpy(image.boxes * np.tile(image.size[::-1], 2))
    for name, crop in CROPS.items():
        rng = np.random.default_rng(args.seed)
        views = []
        for image in images:
            boxes = np.column_stack([image.boxes, np.ones(len(image.boxes))]).astype(np.float32)
            if isinstance(crop, ContrastiveCrop):
                boxes = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
            views.append([crop(rng, image.size, boxes, 2) for _ in range(args.draws)])
        every = torch.from_numpy(np.array(views)).flatten(0, 1)
        repeated = (each.repeat_interleave(args.draws, dim=0) for each in (objects, counts))
        found = pair_statistics(every, *repeated)
        shares = " | ".join(f"{share:.2%}" for share in found.view_share.values())
        print(f"| {name} | {found.common:.3f} | {found.iou:.3f} | {shares} |")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("pairs", help="what the two views of a pair have in common")
    command.add_argument("--data-root", required=True, help="a COCO-format set with annotations")
    command.add_argument("--split", default="train", help="default: %(default)s")
    command.add_argument("--draws", type=int, default=20, help="pairs an image (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.set_defaults(run=pairs)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except MissingData as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
