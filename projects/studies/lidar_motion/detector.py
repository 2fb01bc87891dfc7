"""What does the detector of round 0 find, of objects that move and that stand?

python projects/studies/lidar_motion/detector.py --data-root data/demo_sequences work_dirs/{all,moving}/round_0

Detections with a score of 0.3 or more on the validation sequences; objects with 10 points or more within 36 m.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import MODELS

from ccrop.cli import command, command_parser
from ccrop.projects.lidar_bev.datasets import NuScenesSweeps
from ccrop.projects.lidar_bev.inference import detected
from ccrop.transfer.prediction import load_detector

MIN_SCORE = 0.3
DISTANCE = 2.0  # meters between centers
MIN_POINTS = 10
REACH = 36.0  # meters along x and y, of the grid
MOVING = 0.5  # m/s


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders round_R of pretrainings")
    parser.add_argument("--data-root", required=True)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    dataset = NuScenesSweeps(args.data_root, split="sim_val", num_sweeps=1, labeled=True)
    for run in args.runs:
        right, found, moves = [], [], []
        for _, sample, each in detected(load_detector(run, "sweeps", MODELS.build)[1], dataset):
            centers, objects = each.boxes[each.scores >= MIN_SCORE, :2], sample["boxes"][:, :2]
            near = np.linalg.norm(objects[:, None] - centers, axis=2) < DISTANCE
            counted = (abs(objects) < REACH).all(axis=1) & (sample["num_points"] >= MIN_POINTS)
            right.append(near.any(axis=0))
            found.append(near.any(axis=1)[counted])
            moves.append(np.nan_to_num(np.hypot(*sample["velocities"].T))[counted] >= MOVING)
        hit, moving = np.concatenate(found), np.concatenate(moves)
        print(
            f"{run}: {len(np.concatenate(right)) / len(dataset):.1f} boxes a sweep, precision "
            f"{np.concatenate(right).mean():.1%}, recall of {moving.sum()} that move {hit[moving].mean():.1%}, of "
            f"{(~moving).sum()} that stand {hit[~moving].mean():.1%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
