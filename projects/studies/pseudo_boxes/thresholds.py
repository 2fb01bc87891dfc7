"""How many objects do a detector's own boxes find, by the score and the number of boxes an image that are taken?

python projects/studies/pseudo_boxes/thresholds.py work_dirs/RUN --data-root ROOT
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ccrop.cli import command, command_parser
from ccrop.datasets import CocoImages
from ccrop.datasets.coco import annotations_of, find_annotations
from ccrop.evaluation import pseudo_box_quality
from ccrop.projects.detection_transfer.pseudo_boxes import boxes_by_image, names_of
from ccrop.projects.detection_transfer.pseudo_pretraining import sure_boxes

SCORES = (0.2, 0.3, 0.35, 0.4, 0.5, 0.6)
NUMBERS = (16, 64)
COLUMNS = ("boxes", "recall_0.3", "recall_0.5", "recall_0.5_small", "precision_0.5")


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("detector", type=Path, help="work_dir of a round or of a fine-tuning, or a checkpoint")
    parser.add_argument("--data-root", required=True, type=Path, help="a COCO-format set with an annotated train split")
    args = parser.parse_args(argv)
    images = CocoImages(args.data_root)
    found = sure_boxes(args.detector, images, min(SCORES))
    annotated = annotations_of(args.data_root, "train", find_annotations(args.data_root, "train"), agnostic=True)
    objects = boxes_by_image(annotated.content)
    true = [objects.get(name, np.zeros((0, 4))) for name in names_of(images)]
    print(f"| score | at most | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    for score in SCORES:
        for number in NUMBERS:
            quality = pseudo_box_quality([own[own[:, 4] >= score][:number, :4] for own in found], true)
            shown = [f"{quality['boxes']:.1f}", *(f"{100 * quality[name]:.1f}" for name in COLUMNS[1:])]
            print(f"| {score} | {number} | {' | '.join(shown)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
