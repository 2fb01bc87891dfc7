"""What could a second stage gain at most? Bounds from the first stage's detections and the labels.

python projects/studies/lidar_second_stage/bounds.py work_dirs/second_stage

The labels play a perfect second stage. It scores each detection 1 if it is a true positive and 0 otherwise, or by its
BEV IoU with the best object of its class; it moves each detection within 2 m of an object into that object's box; or
both. Prints AP by class and distance, the difference of the mAP to the first stage with its 95 % interval over the
tested sweeps (paired bootstrap), and AP by BEV IoU, and writes the rows to rows.csv.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import DATASETS, MODELS
from numpy.typing import NDArray

from ccrop.cli import command, command_parser
from ccrop.experiments.paired_bootstrap import draws_of
from ccrop.files import write_csv
from ccrop.projects.lidar_bev.detection.metrics import compared
from ccrop.projects.lidar_bev.evaluation.bootstrap import resampled
from ccrop.projects.lidar_bev.evaluation.center_ap import (
    ERROR_THRESHOLD,
    THRESHOLDS,
    Detections,
    Matches,
    Truth,
    match,
    nearest_free,
    precision_of,
)
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.finetune import detected
from ccrop.transfer.prediction import load_detector

IOU_POWER = 0.5
MIN_IOUS = (0.5, 0.7)  # from above


class Stage(NamedTuple):
    """Detections of a stage, per sweep.

    Attributes:
        found: as the stage gives them.
        perfect: whether true positives rank first, at each distance anew.
    """

    found: Sequence[Detections]
    perfect: bool = False


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("run", type=Path, help="folder of a CenterPoint that was fine-tuned with model.iou_power")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("rows.csv"), help="default: %(default)s")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    config, model = load_detector(args.run, "sweeps", MODELS.build)
    dataset = DATASETS.build(config.test_dataset)
    truths, by_power = [], {}
    for power in (0.0, IOU_POWER):
        model.iou_power = power
        sweeps = [compared(sample, found, model.backbone.grid) for _, sample, found in detected(model, dataset)]
        truths, by_power[power] = [each.truth for each in sweeps], [each.found for each in sweeps]
    stages = bounds(truths, by_power[0.0]) | {f"IoU-aware score, iou_power={IOU_POWER}": Stage(by_power[IOU_POWER])}
    rows = rows_of(truths, stages, model.classes)
    write_csv(args.csv, rows)
    for row in rows:
        print(row)
    return 0


def bounds(truths: Sequence[Truth], found: Sequence[Detections]) -> dict[str, Stage]:
    """The first stage, and what perfect second stages make of it."""
    boxes = in_place(truths, found)
    return {
        "first stage": Stage(found),
        "score: true positive or not": Stage(found, perfect=True),
        "score: BEV IoU": Stage(scored_by_overlap(truths, found)),
        "boxes": Stage(boxes),
        "boxes, and score: true positive or not": Stage(boxes, perfect=True),
    }


def scored_by_overlap(truths: Sequence[Truth], found: Sequence[Detections]) -> list[Detections]:
    """The detections with the BEV IoU with the best object of their class as scores."""
    result = []
    for truth, each in zip(truths, found, strict=True):
        ious = np.where(each.labels[:, None] == truth.labels, bev_ious(each.boxes, truth.boxes), 0)
        result.append(each._replace(scores=ious.max(axis=1, initial=0)))
    return result


def in_place(truths: Sequence[Truth], found: Sequence[Detections]) -> list[Detections]:
    """The detections, those of true positives at 2 m with the boxes of their objects."""
    result = []
    for truth, each in zip(truths, found, strict=True):
        boxes = each.boxes.copy()
        for label in np.unique(each.labels):
            own = np.flatnonzero(each.labels == label)
            own = own[np.argsort(-each.scores[own], kind="stable")]
            objects = truth.boxes[truth.labels == label]
            partner = nearest_free(boxes[own, :2], objects[:, :2], ERROR_THRESHOLD)
            boxes[own[partner >= 0]] = objects[partner[partner >= 0]]
        result.append(each._replace(boxes=boxes))
    return result


def rows_of(truths: Sequence[Truth], stages: dict[str, Stage], classes: Sequence[str]) -> list[dict[str, Any]]:
    """A row per stage and class, and one for their mean; the first stage is the reference."""
    draws = draws_of(len(truths))
    rows, reference = [], None
    for name, stage in stages.items():
        values = []
        for label, kind in enumerate(classes):
            matches = [ranked(match(truths, stage.found, label, each), stage) for each in THRESHOLDS]
            by_distance = np.stack([resampled(each, draws) for each in matches])  # (T, 1 + resamples)
            overlaps = [ranked(match_overlap(truths, stage.found, label, each), stage) for each in MIN_IOUS]
            by_iou = [precision_of(each.right, each.num_objects) for each in overlaps]
            found = [each.right.sum() / each.num_objects for each in matches]
            values.append((by_distance, np.array(by_iou), np.array(found)))
            rows.append(row_of(name, kind, *values[-1]) | {"objects": matches[0].num_objects})
        mean = [np.mean(each, axis=0) for each in zip(*values, strict=True)]
        m_ap = mean[0].mean(axis=0)
        reference = m_ap if reference is None else reference
        low, high = np.quantile((m_ap - reference)[1:], (0.025, 0.975))
        gain = dict(difference=m_ap[0] - reference[0], low=low, high=high)
        rows.append(row_of(name, "mean", *mean) | {key: percent(value) for key, value in gain.items()})
    return [dict.fromkeys(rows[0] | rows[-1], "") | row for row in rows]


def row_of(name: str, kind: str, by_distance: NDArray, by_iou: NDArray, found: NDArray) -> dict[str, Any]:
    row: dict[str, Any] = {"second stage": name, "class": kind, "AP": percent(by_distance[:, 0].mean())}
    row |= {f"AP_{each:g}m": percent(value[0]) for each, value in zip(THRESHOLDS, by_distance, strict=True)}
    row |= {f"AP_IoU{each:g}": percent(value) for each, value in zip(MIN_IOUS, by_iou, strict=True)}
    return row | {f"recall_{each:g}m": percent(value) for each, value in zip(THRESHOLDS, found, strict=True)}


def percent(value: float) -> float:
    return round(100 * float(value), 1)


def ranked(matches: Matches, stage: Stage) -> Matches:
    """The matches of a stage, true positives first if it is perfect."""
    if not stage.perfect:
        return matches
    order = np.argsort(~matches.right, kind="stable")
    return Matches(*(each[order] for each in matches[:4]), matches.counts)


def match_overlap(truths: Sequence[Truth], found: Sequence[Detections], label: int, min_iou: float) -> Matches:
    """Match each detection of a class, most confident first, with the free object of the highest BEV IoU."""
    scores, boxes, objects, sweeps, counts = [], [], [], [], []
    for sweep, (truth, each) in enumerate(zip(truths, found, strict=True)):
        own, targets = each.labels == label, truth.labels == label
        assert truth.counted is not None  # of `compared`, as the next
        assert each.counted is not None
        free = bev_ious(each.boxes[own], truth.boxes[targets])
        partners, use = np.full((len(free), 7), np.nan), each.counted[own].copy()
        for i in np.argsort(-each.scores[own], kind="stable"):
            best = free[i].argmax() if free.shape[1] else 0
            if free.shape[1] and free[i, best] >= min_iou:
                partners[i], use[i] = truth.boxes[targets][best], truth.counted[targets][best]
                free[:, best] = 0
        scores.append(each.scores[own][use])
        boxes.append(each.boxes[own][use])
        objects.append(partners[use])
        sweeps.append(np.full(use.sum(), sweep))
        counts.append((targets & truth.counted).sum())
    order = np.argsort(-np.concatenate(scores), kind="stable")
    parts = (np.concatenate(each)[order] for each in (scores, boxes, objects, sweeps))
    return Matches(*parts, np.array(counts))


if __name__ == "__main__":
    sys.exit(main())
