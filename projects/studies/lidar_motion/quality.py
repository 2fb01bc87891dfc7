"""Does motion tell road users from clutter? Pseudo-boxes of round 0 by their motion score, against the labels.

python projects/studies/lidar_motion/quality.py --data-root data/demo_sequences --out simulated
python projects/studies/lidar_motion/quality.py --data-root data/kitti --kitti --out kitti

KITTI's drive has no poses here: point-to-plane ICP of each frame with the one before gives them.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ccrop.cli import command, command_parser
from ccrop.files import write_csv
from ccrop.projects.lidar_bev.datasets import KittiSweeps, NuScenesSweeps, SweepDataset
from ccrop.projects.lidar_bev.datasets.base import Trajectories
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.extras import extra
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pictures import draw_bev, draw_boxes, legend_of
from ccrop.projects.lidar_bev.pseudo.fitting import fitted
from ccrop.projects.lidar_bev.pseudo.neighbors import MotionOfBoxes, neighbors

GRID = Grid(low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)  # of simsiam_ccrop_bev_demo.py
GAPS = (0.5, 1.0)  # seconds
MIN_IOU = 0.5
MIN_POINTS = 10
STANDING = 0.5  # m/s, below which an object stands
FRAME = 0.1  # seconds between two frames of KITTI
LEAST = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # values of min_motion
KEPT, DROPPED, LABEL = "#35d04f", "#ff8c1a", "#ffffff"


class KittiDrive(KittiSweeps):
    """Frames of one drive, whose poses ICP gives; their names are numbers of frames."""

    def trajectories(self) -> Trajectories:
        poses, last, before = [np.eye(4)], np.eye(4), None
        for index in range(len(self)):
            cloud = _cloud(self.known(index)["points"])
            if before is not None:
                last = _icp(cloud, before, last)
                poses.append(poses[-1] @ last)
            before = cloud
        numbers = np.array([int(self.get_data_info(index)["name"]) for index in range(len(self))])
        return Trajectories(["drive"] * len(self), numbers * FRAME, np.array(poses))


def _cloud(points: NDArray) -> object:
    open3d = extra("open3d", "registration")
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[:, :3].astype(np.float64)))
    cloud = cloud.voxel_down_sample(0.3)
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamHybrid(1.0, 30))
    return cloud


def _icp(cloud: object, before: object, start: NDArray) -> NDArray[np.float64]:
    """``(4, 4)`` from the frame of a cloud to that of the one before."""
    registration = extra("open3d", "registration").pipelines.registration
    distance = registration.TransformationEstimationPointToPlane(registration.TukeyLoss(0.3))
    return registration.registration_icp(cloud, before, 1.0, start, distance).transformation


class Rows(NamedTuple):
    """What is known of the pseudo-boxes and of the objects of some sweeps.

    Attributes:
        sweep, score, motion: ``(B,)`` of each box.
        overlaps: a sweep's BEV IoUs ``(objects, boxes)``, for each sweep.
        counted: a sweep's objects with ``MIN_POINTS`` on the grid.
        moves: a sweep's objects that move.
    """

    sweep: NDArray[np.int64]
    score: NDArray[np.float64]
    motion: NDArray[np.float64]
    overlaps: list[NDArray[np.float64]]
    counted: list[NDArray[np.bool_]]
    moves: list[NDArray[np.bool_]]


def looked_at(dataset: SweepDataset, motion: MotionOfBoxes, chosen: Sequence[int]) -> tuple[Rows, dict[int, tuple]]:
    """Rows of the chosen sweeps, and the points, boxes, motion and objects of each; prints the time that it took."""
    localizer = BevClusters(GRID, behind=0, min_side=GRID.cell)
    number, score, moved, overlaps, counted, moves, shown = [], [], [], [], [], [], {}
    seconds = np.zeros(2)
    for index in chosen:
        sample = dataset.known(index)
        start = time.process_time()
        boxes, counts = localizer([torch.from_numpy(sample["points"])])
        clusters = boxes[0, : counts[0]].numpy()
        fit = fitted(clusters, sample["points"], GRID)
        middle = time.process_time()
        own = motion(index, fit.boxes, sample["points"])
        seconds += middle - start, time.process_time() - middle
        objects = sample["boxes"].astype(np.float64)
        number.append(np.full(len(own), len(overlaps)))
        score.append(clusters[fit.source, 4])
        moved.append(own)
        overlaps.append(bev_ious(objects, fit.boxes.astype(np.float64)))
        on_grid = ((objects[:, :2] >= GRID.low[:2]) & (objects[:, :2] < GRID.high[:2])).all(axis=1)
        counted.append(on_grid & (sample["num_points"] >= MIN_POINTS))
        moves.append(speeds(dataset, motion.trajectories, index) >= STANDING)
        shown[index] = sample["points"], fit.boxes, own, objects
    clustering, looking = seconds / len(overlaps)
    print(f"core-seconds a sweep: clusters and boxes {clustering:.2f}, motion {looking:.2f}")
    return Rows(*(np.concatenate(each) for each in (number, score, moved)), overlaps, counted, moves), shown


def speeds(dataset: SweepDataset, trajectories: Trajectories, index: int) -> NDArray[np.float64]:
    """m/s ``(M,)`` of the objects of a sweep: as annotated, or from the nearest of their class half a second away.

    0 where the annotations do not tell.
    """
    sample = dataset.known(index)
    if "velocities" in sample:
        return np.nan_to_num(np.hypot(*sample["velocities"].T))
    slowest = np.full(len(sample["boxes"]), np.inf)
    for other in neighbors(trajectories, GAPS[:1])[index]:
        there = dataset.known(other)
        transform = np.linalg.inv(trajectories.poses[index]) @ trajectories.poses[other]
        middles = there["boxes"][:, :3] @ transform[:3, :3].T + transform[:3, 3]
        apart = np.linalg.norm(sample["boxes"][:, None, :2] - middles[:, :2], axis=2)
        apart[sample["labels"][:, None] != there["labels"]] = np.inf
        gap = abs(trajectories.seconds[index] - trajectories.seconds[other])
        slowest = np.minimum(slowest, apart.min(axis=1, initial=np.inf) / gap)
    return np.where(np.isfinite(slowest), slowest, 0.0)


def quality(rows: Rows, kept: NDArray[np.bool_]) -> dict[str, float]:
    """Boxes a sweep, precision, and recall of objects that move and that stand, of the boxes that are kept ``(B,)``."""
    right, found = [], []
    for place, overlap in enumerate(rows.overlaps):
        own = overlap[:, kept[rows.sweep == place]]
        right.append(np.pad(own, ((0, 1), (0, 0))).max(axis=0) >= MIN_IOU)
        found.append(np.pad(own, ((0, 0), (0, 1))).max(axis=1) >= MIN_IOU)
    counted, moves = np.concatenate(rows.counted), np.concatenate(rows.moves)
    recalled = np.concatenate(found)
    return dict(
        boxes=kept.sum() / len(rows.overlaps),
        precision=np.concatenate(right).mean() if kept.any() else np.nan,
        recall_moving=recalled[counted & moves].mean(),
        recall_standing=recalled[counted & ~moves].mean(),
    )


def average_precision(rows: Rows, score: NDArray) -> float:
    """Area under precision over recall of the counted objects; boxes of other objects do not count."""
    order = np.argsort(-score, kind="stable")
    taken = [np.zeros(len(each), dtype=bool) for each in rows.counted]
    first = np.searchsorted(rows.sweep, np.arange(len(rows.overlaps)))
    hits = []
    for box in order:
        place = rows.sweep[box]
        overlap = rows.overlaps[place][:, box - first[place]]
        best = overlap.argmax() if len(overlap) else -1
        if best < 0 or overlap[best] < MIN_IOU or taken[place][best]:
            hits.append(False)
        else:
            taken[place][best] = True
            if rows.counted[place][best]:
                hits.append(True)
    hit = np.array(hits)
    precision = hit.cumsum() / np.arange(1, len(hit) + 1)
    return float(precision[hit].sum() / np.concatenate(rows.counted).sum())


def drawn(path: Path, shown: dict[int, tuple], title: str, extent: tuple[float, float, float, float]) -> None:
    """Pictures of sweeps with the labels, and boxes by whether they have moved; ``extent`` x0, y0, x1, y1 in meters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8 * len(shown), 8), layout="constrained")
    for axes, (index, (points, boxes, motion, objects)) in zip(
        np.atleast_1d(figure.subplots(1, len(shown))), shown.items(), strict=True
    ):
        draw_bev(axes, points, extent=extent)
        draw_boxes(axes, objects, LABEL, "dashed")
        draw_boxes(axes, boxes, np.where(motion >= 0.5, KEPT, DROPPED))
        axes.set_title(f"{title}, sweep {index}")
    names = {"labeled object": LABEL, "pseudo-box, motion of 0.5 or more": KEPT, "less": DROPPED}
    axes.legend(handles=legend_of(names), loc="upper right", facecolor="#444444", labelcolor="white", fontsize=8)
    figure.savefig(path, dpi=90, bbox_inches="tight")


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--kitti", action="store_true", help="frames of one drive in KITTI's layout, not nuScenes'")
    parser.add_argument("--out", required=True, help="OUT.csv and OUT.png are written beside this file")
    parser.add_argument("--pictures", type=int, nargs="+", default=[187, 275], help="sweeps to draw")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    classes = ("Car", "Van", "Truck", "Pedestrian", "Cyclist")
    dataset: SweepDataset = (
        KittiDrive(args.data_root, labeled=True, classes=classes)
        if args.kitti
        else NuScenesSweeps(args.data_root, split="sim_train", num_sweeps=1, labeled=True)
    )
    motion = MotionOfBoxes(dataset, GAPS)
    rows, shown = looked_at(dataset, motion, range(len(dataset)))
    counted, moves = np.concatenate(rows.counted), np.concatenate(rows.moves)
    print(f"{len(dataset)} sweeps; objects: {(counted & moves).sum()} move, {(counted & ~moves).sum()} stand")
    everything = np.ones(len(rows.score), dtype=bool)
    table = [dict(min_motion="none") | quality(rows, everything)]
    table += [dict(min_motion=least) | quality(rows, rows.motion >= least) for least in LEAST]
    for row in table:
        print(" ".join(f"{name} {value:.3f}" if name != "min_motion" else f"{value}" for name, value in row.items()))
    scores = {"score": rows.score, "motion": rows.motion, "score x motion": rows.score * rows.motion}
    for name, score in scores.items():
        print(f"average precision by {name}: {average_precision(rows, score):.3f}")
    here = Path(__file__).parent
    rounded = [
        {name: value if isinstance(value, str) else round(float(value), 4) for name, value in row.items()}
        for row in table
    ]
    write_csv(here / f"{args.out}.csv", rounded)
    chosen = {index: shown[index] for index in args.pictures if index in shown}
    if chosen:
        drawn(here / f"{args.out}.png", chosen, args.out, (0, -25, 50, 25) if args.kitti else (-40, -40, 40, 40))
    return 0


if __name__ == "__main__":
    sys.exit(main())
