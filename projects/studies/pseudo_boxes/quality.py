"""How good are pseudo-boxes? Recall and precision of clusters, snapped ones, and those that resemble objects.

    python projects/studies/pseudo_boxes/quality.py --data-root hit_uav
    python projects/studies/pseudo_boxes/quality.py --data-root hit_uav --backbone timm:tf_efficientnet_lite0 \\
        --init FILE

"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from ccrop.cli import command, command_parser
from ccrop.datasets import CocoImages
from ccrop.datasets.coco import annotations_of, find_annotations
from ccrop.evaluation import pseudo_box_quality
from ccrop.projects.detection_transfer.cluster_boxes import clusters, looking, objects_alone, snapped
from ccrop.projects.detection_transfer.pseudo_boxes import boxes_by_image, names_of

CONFIG = "configs/detector_paste_coco.py"
COLUMNS = [f"{name}_{iou}{size}" for name in ("recall", "precision") for iou in (0.3, 0.5) for size in ("", "_small")]


def best_first(boxes: NDArray[np.floating], number: int) -> NDArray[np.floating]:
    """The boxes ``(n, 5)`` with the best scores."""
    return boxes[np.argsort(-boxes[:, 4], kind="stable")[:number]]


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--data-root", required=True, help="a COCO-format set with an annotated train split")
    parser.add_argument(
        "--init", metavar="SOURCE", help="weights of the network that localizes clusters (default: none)"
    )
    parser.add_argument("--backbone", metavar="NAME", help="network that localizes clusters")
    args = parser.parse_args(argv)
    settings = Config.fromfile(CONFIG).pseudo_boxes
    settings.clusters.config = f"configs/{settings.clusters.config}"
    images = CocoImages(args.data_root)
    start = time.process_time()
    model, config = looking(images, settings.clusters, args.init, args.backbone, seed=0)
    raw = clusters(model, images, config)
    looked = time.process_time()
    tight = [best_first(own, settings.max_boxes) for own in snapped(images, raw)]
    rows = {"clusters": [best_first(own, settings.max_boxes) for own in raw], "snapped": tight}
    for least in (0.7, settings.min_objectness, 0.9):
        rows[f"snapped, objectness of at least {least}"] = objects_alone(model, images, tight, least)
    print(f"clusters {looked - start:.0f} core-seconds of this process")
    root = Path(images.data_root)
    objects = boxes_by_image(annotations_of(root, "train", find_annotations(root, "train"), agnostic=True).content)
    names = names_of(images)
    print(f"| boxes | an image | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 2)}")
    for title, found in rows.items():
        quality = pseudo_box_quality(
            [own[:, :4] for own in found], [objects.get(name, np.zeros((0, 4))) for name in names]
        )
        print(f"| {title} | {quality['boxes']:.1f} | {' | '.join(f'{100 * quality[name]:.1f}' for name in COLUMNS)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
