"""How good are pseudo-boxes of sweeps? Clusters as they are, and fitted, against the labels.

python projects/studies/lidar_pseudo_boxes/quality.py --data-root data/demo_lidar --labels label_360
python projects/studies/lidar_pseudo_boxes/quality.py --data-root data/kitti

"""

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ccrop.cli import command, command_parser
from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.detection.cluster_labels import standing
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pseudo.fitting import fitted

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Cyclist")
GRID = Grid(low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)  # of simsiam_ccrop_bev_demo.py
MIN_POINTS = 20
MIN_IOU = 0.5
RIGHT = np.radians(15)  # a heading modulo pi; chance is 17 %

Boxes = tuple[NDArray, NDArray]  # (M, 7), and (M,) whether the heading is learned


def axis_aligned(localizer: BevClusters, points: NDArray) -> Boxes:
    boxes = standing(found(localizer, points), points, GRID)[0]
    return boxes, np.ones(len(boxes), dtype=bool)


def turned(localizer: BevClusters, points: NDArray) -> Boxes:
    fit = fitted(found(localizer, points), points, GRID)
    return fit.boxes, fit.heading_weights > 0


def found(localizer: BevClusters, points: NDArray) -> NDArray[np.float32]:
    boxes, counts = localizer([torch.from_numpy(points)])
    return boxes[0, : counts[0]].numpy()


def compared(boxes: NDArray, sure: NDArray, objects: NDArray) -> NDArray[np.float64]:
    """Per object ``(M, 3)``: the best BEV IoU, the heading error modulo pi of the box that has it, and its weight.

    The last two are NaN if no box touches the object.
    """
    rows = np.full((len(objects), 3), np.nan)
    rows[:, 0] = 0
    if not len(boxes):
        return rows
    ious = bev_ious(objects.astype(np.float64), boxes.astype(np.float64))
    best = ious.argmax(axis=1)
    rows[:, 0] = ious.max(axis=1)
    error = abs((boxes[best, 6] - objects[:, 6] + np.pi / 2) % np.pi - np.pi / 2)
    rows[:, 1:] = np.where(rows[:, :1] > 0, np.stack([error, sure[best]], axis=1), np.nan)
    return rows


def measured(dataset: KittiSweeps, method: Callable[..., Boxes], localizer: BevClusters) -> tuple[NDArray, float]:
    """Rows of label, best IoU, heading error and weight of all objects, and core-seconds."""
    rows, seconds = [np.zeros((0, 4))], 0.0
    for _, sample in dataset.readable():
        start = time.process_time()
        boxes, sure = method(localizer, sample["points"])
        seconds += time.process_time() - start
        counted = (sample["labels"] >= 0) & (sample["num_points"] >= MIN_POINTS)
        counted &= ((sample["boxes"][:, :2] >= GRID.low[:2]) & (sample["boxes"][:, :2] < GRID.high[:2])).all(axis=1)
        rows.append(np.column_stack([sample["labels"][counted], compared(boxes, sure, sample["boxes"][counted])]))
    return np.concatenate(rows), seconds


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--data-root", required=True, help="labeled sweeps in KITTI's layout")
    parser.add_argument("--labels", default="label_2", help="folder of the labels (default: %(default)s)")
    parser.add_argument("--number", type=int, help="number of sweeps, evenly spaced (default: all)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    in_view = args.labels == "label_2"
    dataset = KittiSweeps(
        args.data_root, labeled=True, in_view=in_view, classes=CLASSES, labels=args.labels, subset=args.number
    )
    methods = {
        "axis-aligned": (axis_aligned, BevClusters(GRID)),
        "fitted": (turned, BevClusters(GRID, behind=0, min_side=GRID.cell)),
    }
    results = {name: measured(dataset, *method) for name, method in methods.items()}
    print(f"{args.data_root}: {len(dataset)} sweeps, objects of at least {MIN_POINTS} points")
    print("| class | objects | boxes | IoU 0.5 | mean IoU | heading within 15 degrees | learned | of these correct |")
    print("|---|---|---|---|---|---|---|---|")
    for label, name in enumerate(CLASSES):
        for method, (rows, _) in results.items():
            own = rows[rows[:, 0] == label]
            if len(own):
                touched = own[own[:, 1] > 0]
                learned = touched[touched[:, 3] > 0]
                shares = (own[:, 1] >= MIN_IOU, own[:, 1], touched[:, 2] < RIGHT, own[:, 3] > 0, learned[:, 2] < RIGHT)
                cells = " | ".join(percent(share) for share in shares)
                print(f"| {name} | {len(own)} | {method} | {cells} |")
    for method, (_, seconds) in results.items():
        print(f"{method}: {seconds / len(dataset):.2f} core-seconds per sweep")
    return 0


def percent(values: NDArray) -> str:
    return f"{100 * values.mean():.0f}" if len(values) else "–"


if __name__ == "__main__":
    sys.exit(main())
