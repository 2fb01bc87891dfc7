"""Evaluate a backbone without a detector, on images with classes or annotations, or on labeled sweeps.

knn, linear: do images of a class cluster? Weighted kNN and linear classification on frozen features, on the sets of
the run's kNN: whole images if the set has classes; annotated objects, cut out and scaled up, if it has annotations:

    python tools/evaluate.py knn work_dirs/simsiam_single_cifar10/epoch_500.pth
    python tools/evaluate.py linear work_dirs/simsiam_ccrop_coco/epoch_200.pth --out metrics/

pairs: how much the two views of a pair have in common, for crops around annotated objects or a checkpoint's boxes:

    python tools/evaluate.py pairs --data-root data/coco --split train
    python tools/evaluate.py pairs work_dirs/simsiam_ccrop_coco/epoch_200.pth

boxes: do boxes find the annotated objects? The checkpoint's own localizer, and others on the same backbone:

    python tools/evaluate.py boxes work_dirs/simsiam_ccrop_coco/epoch_200.pth --levels 1 --max-boxes 64

object-knn: does an annotated object, cut out and scaled up, have neighbors of its own class?

    python tools/evaluate.py object-knn work_dirs/simsiam_ccrop_coco/epoch_200.pth

roi-knn: the same for regions of whole images, and for the background:

    python tools/evaluate.py roi-knn work_dirs/simsiam_ccrop_coco/epoch_200.pth

centers: do boxes find the labeled objects of LiDAR sweeps? By geometry, and by blends with the checkpoint's heatmap:

    python tools/evaluate.py centers work_dirs/simsiam_ccrop_bev_demo/epoch_10.pth --split val

window-knn: does a labeled object in a sweep, pooled from the encoder's map, have neighbors of its own class?

    python tools/evaluate.py window-knn work_dirs/simsiam_ccrop_bev_demo/epoch_10.pth

A --config without a checkpoint measures untrained weights. Networks of timm and
torchvision can be measured, too:

    python tools/evaluate.py knn --network torchvision:resnet50 --init FILE.pth --config configs/simsiam_ccrop_coco.py
"""

import argparse
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from ccrop.cli import command, command_parser
from ccrop.tools.evaluations.arguments import add_boxes, add_classes, add_objects, add_pairs, add_sweeps


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = command_parser(__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_classes, add_pairs, add_boxes, add_objects, add_sweeps):
        add(commands)
    return parser.parse_args(argv)


@command
def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)

    import torch

    from ccrop.files import require_place

    if folder := getattr(args, "out", None):
        require_place(folder / "metrics.csv")
    if file := getattr(args, "csv", None):
        require_place(file)
    with torch.no_grad():
        resolve_name(f"ccrop.tools.evaluations.{args.run}")(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
