"""The boxes of a run together with snapped clusters of other looks at the same images, doubles left out.

python projects/studies/pseudo_boxes/union.py work_dirs/RUN/round_0/boxes.json --data-root ROOT \
    --init efficientnet-lite0-57934424.pth --out union.json

The other looks: the finest map of the untrained network alone, and ImageNet's EfficientNet-Lite0.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray
from torchvision.ops import nms

from ccrop.cli import command, command_parser
from ccrop.datasets import CocoImages
from ccrop.files import write_json
from ccrop.projects.detection_transfer.cluster_boxes import clusters, looking, snapped
from ccrop.projects.detection_transfer.pseudo_boxes import boxes_by_image, names_of, pseudo_annotations, sizes_of

CONFIG = "configs/detector_paste_coco.py"
LEVELS = "default_hooks.localization.localizer.levels"
DOUBLE = 0.5  # IoU


def without_doubles(sources: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The boxes ``(n, 5)`` of one image, those of earlier sources first, that overlap no earlier one."""
    boxes = np.concatenate([np.asarray(each)[:, :5] for each in sources])
    order = torch.arange(len(boxes), 0, -1, dtype=torch.float32)
    return boxes[nms(torch.from_numpy(boxes[:, :4]).float(), order, DOUBLE).numpy()]


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("boxes", type=Path, help="pseudo-boxes in COCO's format")
    parser.add_argument("--data-root", required=True, help="a COCO-format set")
    parser.add_argument("--init", required=True, help="weights of EfficientNet-Lite0")
    parser.add_argument("--out", required=True, type=Path, help="the file to write")
    args = parser.parse_args(argv)
    settings = Config.fromfile(CONFIG).pseudo_boxes.clusters
    images = CocoImages(args.data_root)
    own = boxes_by_image(json.loads(args.boxes.read_text()))
    none = np.zeros((0, 4))
    sources = [[np.pad(own.get(name, none), ((0, 0), (0, 1)), constant_values=1) for name in names_of(images)]]
    for backbone, init, levels in ((None, None, (0,)), ("timm:tf_efficientnet_lite0", args.init, (0, 1))):
        looks = dict(config=f"configs/{settings.config}", options=settings.options | {LEVELS: levels})
        model, config = looking(images, looks, init, backbone, seed=0)
        sources.append(snapped(images, clusters(model, images, config)))
    boxes = [without_doubles(each) for each in zip(*sources, strict=True)]
    write_json(args.out, pseudo_annotations(images, sizes_of(images), boxes))
    print(f"{args.out}: {sum(map(len, boxes)):,} boxes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
