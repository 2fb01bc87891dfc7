"""A detector's metrics: over all classes, and in bins by range and by points."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import num_points_in_boxes, points_in_boxes
from ccrop.projects.lidar_bev.datasets import OTHER, SweepDataset
from ccrop.projects.lidar_bev.datasets.kitti import KittiSweeps, image_size
from ccrop.projects.lidar_bev.datasets.kitti_format import KittiObjects, boxes_in_image, read_calibration, read_objects
from ccrop.projects.lidar_bev.evaluation.center_ap import (
    THRESHOLDS,
    CenterMetrics,
    Detections,
    Truth,
    center_metrics,
    within_points,
    within_range,
)
from ccrop.projects.lidar_bev.evaluation.kitti_ap import DIFFICULTIES, MIN_IOU, NUM_RECALLS, kitti_ap, num_counted
from ccrop.projects.lidar_bev.grid import Grid

RANGES = (0.0, 15.0, 30.0, np.inf)  # meters from the sensor
ERRORS = {"translation": "m", "scale": "", "heading": "rad", "axis": "rad"}  # and their units
POINTS = (1, 10, 100, np.iinfo(np.int64).max)  # in an object's box


class Compared(NamedTuple):
    """A sweep and its detections.

    Attributes:
        truth: its objects.
        found: the detections.
        truth_points, found_points: ``(M,)`` and ``(D,)`` int64, how many points each box holds.
    """

    truth: Truth
    found: Detections
    truth_points: NDArray[np.int64]
    found_points: NDArray[np.int64]


def compared(sample: dict[str, NDArray], found: Detections, grid: Grid) -> Compared:
    """Pair a sweep's detections with its objects.

    Objects without points or with their center off the grid do not count, and neither do detections whose
    center is in a box of an unrequested class: a van is not a false car.

    Args:
        sample: of :meth:`.SweepDataset.known`.
        found: in this sweep.
        grid: of the encoder.
    """
    boxes, labels, num_points = sample["boxes"], sample["labels"], sample["num_points"]
    on_grid = ((boxes[:, :2] >= grid.low[:2]) & (boxes[:, :2] < grid.high[:2])).all(axis=1)
    ignored = np.zeros(len(found.boxes), dtype=bool)
    ignored[points_in_boxes(found.boxes[:, :3], boxes[labels == OTHER])[0]] = True
    return Compared(
        Truth(boxes, labels, on_grid & (num_points > 0)),
        found._replace(counted=~ignored),
        num_points,
        num_points_in_boxes(sample["points"], found.boxes),
    )


def detector_metrics(sweeps: Sequence[Compared], classes: Sequence[str]) -> dict[str, float]:
    """Average precision by center distance, in [0, 1], and errors.

    Returns:
        ``mAP`` over classes and thresholds; ``AP_Car`` ... over thresholds; ``mAP_0.5m`` ... over classes;
        ``mAP_0-15m`` ... of objects in a range and ``mAP_1-9points`` ... of objects with that many points;
        ``translation`` in meters, ``scale``, ``heading`` and ``axis`` (the heading modulo pi) in radians, the mean
        errors of true positives over classes, and ``heading_Car`` ..., ``axis_Car`` ... NaN if no object counts.
    """
    truths, found = [each.truth for each in sweeps], [each.found for each in sweeps]
    by_class = {name: center_metrics(truths, found, label) for label, name in enumerate(classes)}
    every = list(by_class.values())
    metrics = {"mAP": _mean([each.mean_ap for each in every])}
    metrics |= {f"AP_{name}": each.mean_ap for name, each in by_class.items()}
    metrics |= {f"mAP_{distance:g}m": _mean([each.ap[distance] for each in every]) for distance in THRESHOLDS}
    for low, high in pairwise(RANGES):
        own = within_range(truths, found, low, high)
        metrics[f"mAP_{low:g}-{high:g}m" if high < np.inf else f"mAP_{low:g}m+"] = _mean_ap(*own, len(classes))
    points = [each.truth_points for each in sweeps], [each.found_points for each in sweeps]
    for low, high in pairwise(POINTS):
        own = within_points(truths, found, *points, low, high)
        name = f"mAP_{low}-{high - 1}points" if high < POINTS[-1] else f"mAP_{low}+points"
        metrics[name] = _mean_ap(*own, len(classes))
    metrics |= {name: _mean([getattr(each, name) for each in every]) for name in ERRORS}
    return metrics | {
        f"{error}_{name}": getattr(each, error) for error in ("heading", "axis") for name, each in by_class.items()
    }


def kitti_metrics(dataset: KittiSweeps, indices: Sequence[int], found: Sequence[Detections]) -> dict[str, float]:
    """KITTI's AP_R40 in [0, 1]: ``AP_R40_3d_Car_moderate`` ..., of those of KITTI's classes that were requested.

    The log warns of each class with so few objects that even perfect detections stay below 1.

    Args:
        dataset: labeled, with KITTI's own labels.
        indices: of the sweeps.
        found: in each of them.
    """
    base = Path(dataset.data_root, dataset.folder)
    labels, results = [], []
    for index, each in zip(indices, found, strict=True):
        name = dataset.get_data_info(index)["name"]
        calibration = read_calibration(base / "calib" / f"{name}.txt")
        labels.append(read_objects(base / dataset.labels / f"{name}.txt", calibration))
        image_boxes, truncated = boxes_in_image(each.boxes, calibration, image_size(base / "image_2" / f"{name}.png"))
        unknown = np.zeros(len(each.boxes), dtype=np.int64)
        names = [dataset.classes[label] for label in each.labels]
        result = KittiObjects(names, each.boxes.astype(np.float64), image_boxes, truncated, unknown, each.scores)
        results.append(result.only(truncated < 1))  # nothing is labeled where the camera does not see
    measured = [name for name in dataset.classes if name in MIN_IOU]
    _warn_of_few(labels, measured)
    return {
        f"AP_R40_{view}_{name}_{difficulty}": kitti_ap(labels, results, name, difficulty, view) / 100
        for view in ("bev", "3d")
        for name in measured
        for difficulty in DIFFICULTIES
    }


def _warn_of_few(labels: Sequence[KittiObjects], names: Sequence[str]) -> None:
    for name in names:
        numbers = {difficulty: num_counted(labels, name, difficulty) for difficulty in DIFFICULTIES}
        few = [
            f"{number} {difficulty} (at most {(number - 1) / NUM_RECALLS:.1%})"
            for difficulty, number in numbers.items()
            if 0 < number <= NUM_RECALLS
        ]
        if few:
            MMLogger.get_current_instance().warning(
                f"KITTI's AP_R40 of {name} is low for lack of objects, even with perfect detections: {', '.join(few)}; "
                f"it needs more than {NUM_RECALLS}, so compare it only on this set"
            )


def has_kitti_labels(dataset: SweepDataset) -> bool:
    """Whether KITTI's AP can be computed: for labels in the camera's view, with boxes in the image."""
    return isinstance(dataset, KittiSweeps) and dataset.labels == "label_2" and dataset.calibrated


def _mean_ap(truths: Sequence[Truth], found: Sequence[Detections], num_classes: int) -> float:
    every: list[CenterMetrics] = [center_metrics(truths, found, label) for label in range(num_classes)]
    return _mean([each.mean_ap for each in every])


def _mean(values: Sequence[float]) -> float:
    """Of those that are not NaN; NaN if there is none."""
    known = [value for value in values if value == value]
    return float(np.mean(known)) if known else float("nan")
