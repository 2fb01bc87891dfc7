"""How good are a teacher's boxes above a score? Precision and recall by class, in training sweeps without labels.

python projects/studies/lidar_self_training/scores.py work_dirs/teacher_0 --labels 1% --seed 0 --every 2

Writes scores.csv: a row for each score, and the score with the best F1 over all classes to the screen.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DATASETS

from ccrop.checkpoint.newest import latest_checkpoint
from ccrop.checkpoint.recorded_config import recorded_config
from ccrop.cli import at_least, command, command_parser
from ccrop.files import write_csv
from ccrop.projects.lidar_bev.detection.labeled_sweeps import use_labels
from ccrop.projects.lidar_bev.detection.metrics import Compared, compared
from ccrop.projects.lidar_bev.detection.self_training import right_boxes, sure_boxes
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.inference import detected, load_teacher
from ccrop.transfer import fraction_of

SCORES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7)


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("teacher", type=Path, help="work_dir of a fine-tuned CenterPoint")
    parser.add_argument("--labels", default="1%", help="that it was fine-tuned with")
    parser.add_argument("--seed", type=int, default=0, help="likewise")
    parser.add_argument("--every", type=at_least(1), default=1, help="take every n-th sweep")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    config = recorded_config(latest_checkpoint(args.teacher))
    train = config.train_dataloader.dataset
    train.update(indices=None, pipeline=[])
    number = len(DATASETS.build(train))
    use_labels(config, fraction_of(args.labels), args.seed)
    train.indices = [index for index in range(number) if index not in train.indices][:: args.every]
    model = load_teacher(args.teacher, config)
    grid, classes = model.backbone.grid, model.classes
    every = [
        compared(sample, sure_boxes(found, sample["points"], classes, classes, grid, SCORES[0]), grid)
        for _, sample, found in detected(model, DATASETS.build(train))
    ]
    rows = []
    for score in SCORES:
        counts = right_boxes([above(score, each) for each in every], classes)
        counts = {"all": np.sum(list(counts.values()), axis=0)} | counts
        row: dict[str, float] = {"min_score": score}
        for name, (right, boxes, objects) in counts.items():
            row |= {f"boxes_{name}": int(boxes), f"objects_{name}": int(objects)}
            row |= {f"precision_{name}": round(right / max(boxes, 1), 4), f"recall_{name}": round(right / objects, 4)}
        rows.append(row | {"f1_all": round(2 * counts["all"][0] / counts["all"][1:].sum(), 4)})
    write_csv(Path(__file__).with_suffix(".csv"), rows)
    best = max(rows, key=lambda row: row["f1_all"])
    print(f"{len(every)} sweeps: the F1 score is best at {best['min_score']}: {best['f1_all']:.1%}")
    return 0


def above(score: float, each: Compared) -> Compared:
    """The same with only the boxes that have at least this score."""
    found = each.found
    kept = found.scores >= score
    counted = None if found.counted is None else found.counted[kept]
    return each._replace(found=Detections(found.boxes[kept], found.scores[kept], found.labels[kept], counted))


if __name__ == "__main__":
    sys.exit(main())
