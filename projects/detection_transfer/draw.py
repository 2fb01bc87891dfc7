"""The detections of each initialization, side by side: images in rows, fine-tuned detectors in columns.

    python projects/detection_transfer/draw.py work_dirs/transfer/demo/0.1/{random,rcrop}_0 --out found.png

A hit is a detection of the right category with an IoU of at least 0.5, each object counted once, best score first.
Small objects (below 32 x 32 px) have a triangle above them, filled if found.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from mmengine.registry import DATASETS, DefaultScope
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import box_iou

from ccrop.cli import add_picture, command, command_parser
from ccrop.datasets.channel_stack import as_rgb
from ccrop.datasets.reading import read_image
from ccrop.files import written
from ccrop.projects.detection_transfer.inference import ImageDetections, detect, load_detector

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HIT, MISSED, FALSE = "#2ca02c", "#ff2020", "#ffb000"
LEGEND = {"found": HIT, "missed": MISSED, "false": FALSE}
SMALL = 32**2


def match(
    detections: ImageDetections, boxes: Tensor, labels: Tensor, iou_threshold: float = 0.5
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections ``(M,)`` are hits and which objects ``(N,)`` were found, greedily by score.

    Args:
        boxes, labels: annotated objects, ``(N, 4)`` and ``(N,)``.
    """
    overlap = box_iou(detections.boxes, boxes) * (detections.labels[:, None] == labels)
    hits, found = np.zeros(len(detections.boxes), bool), np.zeros(len(boxes), bool)
    for number, row in enumerate(overlap.numpy()):
        free = np.where(found, 0, row)
        if free.size and free.max() >= iou_threshold:
            hits[number] = found[free.argmax()] = True
    return hits, found


def draw(axis: Axes, image: NDArray[np.uint8], detections: ImageDetections, boxes: Tensor, labels: Tensor) -> str:
    """Draw one image; returns the counts of found objects, with small ones listed separately."""
    hits, found = match(detections, boxes, labels)
    axis.imshow(image)
    axis.set(xlim=(0, image.shape[1]), ylim=(image.shape[0], 0))
    axis.set_axis_off()
    for box, hit in zip(detections.boxes.tolist(), hits, strict=True):
        _rectangle(axis, box, HIT if hit else FALSE, 1.0)
    small = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1) < SMALL).numpy()
    for box, is_small, is_found in zip(boxes.tolist(), small, found, strict=True):
        color = HIT if is_found else MISSED
        if not is_found:
            _rectangle(axis, box, MISSED, 1.2)
        if is_small:
            middle = (box[0] + box[2]) / 2
            axis.plot(middle, box[1] - 5, marker="v", ms=4, mec=color, mfc=color if is_found else "none", mew=0.8)
    return f"{found.sum()}/{len(found)} found, {found[small].sum()}/{small.sum()} small, {(~hits).sum()} false"


def _rectangle(axis: Axes, box: Sequence[float], color: str, width: float) -> None:
    x0, y0, x1, y1 = box
    axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=color, lw=width))


def chosen_images(dataset: Any, number: int) -> list[int]:
    """Images evenly spread over those with small objects."""
    with_small = [
        index
        for index in range(len(dataset))
        if any(_area(each["bbox"]) < SMALL for each in dataset.get_data_info(index)["instances"])
    ]
    if not with_small:
        raise ValueError("no image of the val split has small objects")
    places = np.linspace(0, len(with_small) - 1, min(number, len(with_small))).round().astype(int)
    return [with_small[place] for place in places]


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="work_dirs of fine-tuning runs")
    parser.add_argument("--images", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--score", type=float, default=0.3, help="lowest score to draw (default: %(default)s)")
    add_picture(parser, "detections.png")
    args = parser.parse_args(argv)
    detectors = [load_detector(work_dir) for work_dir in args.work_dirs]
    with DefaultScope.overwrite_default_scope("mmdet"):
        dataset = DATASETS.build(detectors[0][0].test_dataloader.dataset)
        indices = chosen_images(dataset, args.images)
    figure, axes = plt.subplots(
        len(indices),
        len(detectors),
        figsize=(4.2 * len(detectors), 3.7 * len(indices) + 0.4),
        squeeze=False,
        layout="constrained",
    )
    for row, index in zip(axes, indices, strict=True):
        info = dataset.get_data_info(index)
        image = np.asarray(as_rgb(read_image(info["img_path"], detectors[0][0].get("channels", 3))))
        boxes = torch.tensor([each["bbox"] for each in info["instances"]])
        labels = torch.tensor([each["bbox_label"] for each in info["instances"]])
        for axis, (_, model), work_dir in zip(row, detectors, args.work_dirs, strict=True):
            text = draw(axis, image, detect(model, dataset[index], args.score), boxes, labels)
            axis.set_title(f"{work_dir.name}: {text}", size=8)
    handles: list[Artist] = [Patch(fill=False, ec=color, label=name) for name, color in LEGEND.items()]
    handles.append(Line2D([], [], ls="", marker="v", mec="black", mfc="none", label="small"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9)
    with written(args.out) as partial:
        figure.savefig(partial, dpi=110)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
