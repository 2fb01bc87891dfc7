"""The nuScenes detection score and its parts (Caesar et al., CVPR 2020, section 3.1), as its devkit computes them.

Boxes are ``(M, 10)`` in the global frame: those of :mod:`ccrop.projects.lidar_bev.boxes`, the velocity along x and y in
meters per second (NaN if not known), and the position of the attribute in ``ATTRIBUTES`` (NaN if there is none).
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import points_in_boxes, wrapped
from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES
from ccrop.projects.lidar_bev.evaluation.center_ap import (
    ERROR_THRESHOLD,
    THRESHOLDS,
    Detections,
    Matches,
    Truth,
    average_precision,
    match,
    mean_error,
)

Boxes = TypeVar("Boxes", Truth, Detections)
ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.standing",
    "pedestrian.sitting_lying_down",
)
VELOCITY, ATTRIBUTE = slice(7, 9), 9  # columns
# meters from the car beyond which objects and detections do not count
RANGES = dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), 50.0)
RANGES |= dict.fromkeys(("pedestrian", "motorcycle", "bicycle"), 40.0) | dict(traffic_cone=30.0, barrier=30.0)
CYCLES = ("motorcycle", "bicycle")  # do not count in a rack
ERRORS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")  # of translation, scale, orientation, velocity, attribute
UNDEFINED = {"traffic_cone": ("mAOE", "mAVE", "mAAE"), "barrier": ("mAVE", "mAAE")}
AP_WEIGHT = 5


class KeyFrame(NamedTuple):
    """What the score needs to know of a key frame besides its objects.

    Attributes:
        ego: ``(2,)`` global x and y of the car in meters.
        racks: ``(R, 7)`` boxes of bicycle racks.
    """

    ego: NDArray[np.float64]
    racks: NDArray[np.float64]


def counted(boxes: NDArray, labels: NDArray[np.int64], scene: KeyFrame) -> NDArray[np.bool_]:
    """Which boxes ``(M, 7 or more)`` count: in their class's range, and no cycle in a rack."""
    limits = np.array([RANGES[name] for name in CLASSES])[labels]
    near = np.hypot(*(boxes[:, :2] - scene.ego).T) < limits
    in_rack = np.zeros(len(boxes), dtype=bool)
    in_rack[points_in_boxes(boxes[:, :3], scene.racks)[0]] = True
    cycles = np.isin(labels, [CLASSES.index(name) for name in CYCLES])
    return near & ~(in_rack & cycles)


def detection_score(
    truths: Sequence[Truth], detections: Sequence[Detections], scenes: Sequence[KeyFrame]
) -> dict[str, float]:
    """``NDS``, ``mAP``, ``AP_car`` ..., and the mean errors of true positives ``mATE`` (m), ``mASE`` (1 - IoU),
    ``mAOE`` (rad), ``mAVE`` (m/s) and ``mAAE`` (1 - accuracy).

    A class without an object has an AP of 0 and errors of 1, as in the benchmark.

    Args:
        truths: of each key frame, boxes ``(M, 10)``; without objects that no point shows.
        detections: of each, boxes ``(D, 10)``.
        scenes: of each.
    """
    truths, detections = only_counted(truths, detections, scenes)
    by_class = [class_score(truths, detections, label) for label in range(len(CLASSES))]
    metrics = {f"AP_{name}": each["AP"] for name, each in zip(CLASSES, by_class, strict=True)}
    mean_ap = float(np.mean(list(metrics.values())))
    errors = {error: float(np.nanmean([each[error] for each in by_class])) for error in ERRORS}
    score = (AP_WEIGHT * mean_ap + sum(max(0.0, 1 - error) for error in errors.values())) / (AP_WEIGHT + len(ERRORS))
    return dict(NDS=score, mAP=mean_ap) | metrics | errors


def only_counted(
    truths: Sequence[Truth], detections: Sequence[Detections], scenes: Sequence[KeyFrame]
) -> tuple[list[Truth], list[Detections]]:
    """What of :func:`detection_score`'s arguments counts, see :func:`counted`."""
    return (
        [_only(each, counted(each.boxes, each.labels, scene)) for each, scene in zip(truths, scenes, strict=True)],
        [_only(each, counted(each.boxes, each.labels, scene)) for each, scene in zip(detections, scenes, strict=True)],
    )


def class_score(truths: Sequence[Truth], detections: Sequence[Detections], label: int) -> dict[str, float]:
    """``AP`` and each of ``ERRORS`` of a class; NaN for errors that its objects do not have."""
    precision = [average_precision(match(truths, detections, label, threshold)) for threshold in THRESHOLDS]
    matches = match(truths, detections, label, ERROR_THRESHOLD)
    errors = {name: mean_error(values, matches) for name, values in _errors(matches, CLASSES[label]).items()}
    if not matches.num_objects:
        precision, errors = [0.0], dict.fromkeys(ERRORS, 1.0)
    errors |= dict.fromkeys(UNDEFINED.get(CLASSES[label], ()), np.nan)
    return dict(AP=float(np.mean(precision))) | errors


def _errors(matches: Matches, name: str) -> dict[str, NDArray]:
    """``(D,)`` each."""
    found, objects = matches.detections, matches.objects
    smaller = np.minimum(found[:, 3:6], objects[:, 3:6]).prod(axis=1)
    union = found[:, 3:6].prod(axis=1) + objects[:, 3:6].prod(axis=1) - smaller
    turns = 2 if name == "barrier" else 1  # has no front
    wrong = (found[:, ATTRIBUTE] != objects[:, ATTRIBUTE]).astype(float)
    return dict(
        mATE=np.hypot(*(found - objects)[:, :2].T),
        mASE=1 - smaller / union,
        mAOE=abs(wrapped((found - objects)[:, 6] * turns)) / turns,
        mAVE=np.hypot(*(found - objects)[:, VELOCITY].T),
        mAAE=np.where(np.isnan(objects[:, ATTRIBUTE]), np.nan, wrong),
    )


def _only(each: Boxes, chosen: NDArray[np.bool_]) -> Boxes:
    return each._replace(**{name: values[chosen] for name, values in each._asdict().items() if values is not None})
