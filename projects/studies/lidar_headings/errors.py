"""What do detectors learn of headings? Errors of their true positives, by class and by points.

python projects/studies/lidar_headings/errors.py work_dirs/headings_angle work_dirs/headings_axis

Prints a row for each run, class and bin of points: true positives at 2 m with a score of 0.1 or more, the median error
of headings and of axes (modulo pi) in degrees, and the fraction whose front and back are exchanged.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DATASETS, MODELS

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.checkpoint.recorded_config import recorded_config
from ccrop.cli import command, command_parser
from ccrop.files import write_csv
from ccrop.projects.lidar_bev.boxes import num_points_in_boxes, wrapped
from ccrop.projects.lidar_bev.evaluation.center_ap import ERROR_THRESHOLD, Truth, match
from ccrop.projects.lidar_bev.inference import detected
from ccrop.transfer.prediction import load_detector

POINTS = (1, 30, 100, 300, np.inf)
MIN_SCORE = 0.1


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of fine-tuned CenterPoints")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = [row for run in args.runs for row in errors(run)]
    write_csv(Path(__file__).parent / "rows.csv", rows)
    for row in rows:
        print(row)
    return 0


def errors(run: Path) -> Iterator[dict[str, str | int | float]]:
    """The rows of a run."""
    dataset = DATASETS.build(recorded_config(latest_checkpoint(run)).test_dataset)
    truths, every = [], []
    for _, sample, found in detected(load_detector(run, "sweeps", MODELS.build)[1], dataset):
        sure = found.scores >= MIN_SCORE
        truths.append(Truth(np.column_stack([sample["boxes"], sample["num_points"]]), sample["labels"]))
        boxes = np.column_stack([found.boxes, num_points_in_boxes(sample["points"], found.boxes)])
        every.append(found._replace(boxes=boxes[sure], scores=found.scores[sure], labels=found.labels[sure]))
    for label, name in enumerate(dataset.classes):
        matches = match(truths, every, label, ERROR_THRESHOLD)
        right = np.isfinite(matches.objects[:, 0])
        points = matches.objects[right, 7]
        heading = np.degrees(abs(wrapped((matches.detections - matches.objects)[right, 6])))
        axis = np.minimum(heading, 180 - heading)
        for low, high in [(1, np.inf), *pairwise(POINTS)]:
            own = (points >= low) & (points < high)
            if own.any():
                yield {
                    "run": run.name,
                    "class": name,
                    "points": f"{low:g}-{high - 1:g}" if high < np.inf else f"{low:g}+",
                    "true_positives": int(own.sum()),
                    "heading": round(float(np.median(heading[own])), 1),
                    "axis": round(float(np.median(axis[own])), 1),
                    "axis_within_15": round(float((axis[own] < 15).mean()), 3),
                    "reversed": round(float((heading[own] > 90).mean()), 3),
                }


if __name__ == "__main__":
    sys.exit(main())
