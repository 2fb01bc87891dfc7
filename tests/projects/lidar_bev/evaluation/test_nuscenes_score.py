"""nuScenes' score against plain loops over single boxes."""

import math

import numpy as np
import pytest

from ccrop.projects.lidar_bev.datasets.nuscenes import CLASSES
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections, Truth
from ccrop.projects.lidar_bev.evaluation.nuscenes_score import KeyFrame, counted, detection_score

CAR, PEDESTRIAN, BICYCLE, CONE, BARRIER = (
    CLASSES.index(name) for name in ("car", "pedestrian", "bicycle", "traffic_cone", "barrier")
)
LIMITS = dict(car=50, truck=50, bus=50, trailer=50, construction_vehicle=50, pedestrian=40, motorcycle=40, bicycle=40)
LIMITS |= dict(traffic_cone=30, barrier=30)
EGO = np.array([1000.0, 500.0])


def random_frames(seed: int, number: int = 4):
    """Objects of five classes around the car, some too far, and detections near them with wrong values."""
    rng = np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(number):
        size = 25
        middle = np.column_stack([rng.uniform(-45, 45, (size, 2)) + EGO, rng.normal(0, 1, size)])
        rest = [rng.uniform(0.5, 4, (size, 3)), rng.uniform(-3, 3, size), rng.normal(0, 2, (size, 2))]
        boxes = np.column_stack([middle, *rest, rng.integers(0, 3, size)])
        boxes[rng.random(size) < 0.3, 9] = np.nan
        boxes[rng.random(size) < 0.2, 7:9] = np.nan
        labels = rng.choice([CAR, PEDESTRIAN, BICYCLE, CONE, BARRIER], size)
        found = boxes[rng.permutation(np.repeat(np.arange(size), 2))[:40]]
        kinds = rng.choice([CAR, PEDESTRIAN, BICYCLE, CONE, BARRIER], len(found))
        found = np.nan_to_num(found) + np.column_stack([rng.normal(0, 0.7, (len(found), 9)), np.zeros(len(found))])
        found[:, 3:6] = abs(found[:, 3:6])
        truths.append(Truth(boxes, labels))
        detections.append(Detections(found, rng.random(len(found)), kinds))
    return truths, detections


def plain_class(truths, detections, name, label):
    """AP and errors of a class, box by box."""
    limit = LIMITS[name]

    def near(box):
        return math.hypot(box[0] - EGO[0], box[1] - EGO[1]) < limit

    objects = [
        (frame, box)
        for frame, each in enumerate(truths)
        for box, kind in zip(each.boxes, each.labels, strict=True)
        if kind == label and near(box)
    ]
    every = [
        (score, frame, box)
        for frame, each in enumerate(detections)
        for box, score, kind in zip(each.boxes, each.scores, each.labels, strict=True)
        if kind == label and near(box)
    ]
    every.sort(key=lambda entry: -entry[0])
    if not objects:
        return 0.0, [1.0] * 5
    precisions = []
    for threshold in (0.5, 1.0, 2.0, 4.0):
        taken, right, pairs = set(), [], []
        for score, frame, box in every:
            distances = [
                (math.hypot(box[0] - other[0], box[1] - other[1]), place)
                for place, (own, other) in enumerate(objects)
                if own == frame and place not in taken
            ]
            best = min(distances, default=(math.inf, -1))
            right.append(best[0] < threshold)
            if right[-1]:
                taken.add(best[1])
                pairs.append((score, box, objects[best[1]][1]))
        true = np.cumsum(right)
        recall, precision = true / len(objects), true / np.arange(1, len(right) + 1)
        at = np.interp(np.linspace(0, 1, 101), recall, precision, right=0)[11:]
        precisions.append(np.mean([max(0, value - 0.1) / 0.9 for value in at]))
        if threshold == 2.0:
            scores = np.interp(np.linspace(0, 1, 101), recall, [score for score, *_ in every], right=0)
            errors = [mean_error(pairs, scores, error) for error in errors_of(name)]
    return float(np.mean(precisions)), errors


def errors_of(name):
    def scale(box, other):
        shared = math.prod(min(a, b) for a, b in zip(box[3:6], other[3:6], strict=True))
        return 1 - shared / (math.prod(box[3:6]) + math.prod(other[3:6]) - shared)

    def angle(box, other):
        period = math.pi if name == "barrier" else 2 * math.pi
        difference = (box[6] - other[6]) % period
        return min(difference, period - difference)

    def attribute(box, other):
        return math.nan if math.isnan(other[9]) else float(box[9] != other[9])

    translation = lambda box, other: math.hypot(box[0] - other[0], box[1] - other[1])  # noqa: E731
    velocity = lambda box, other: math.hypot(box[7] - other[7], box[8] - other[8])  # noqa: E731
    return translation, scale, angle, velocity, attribute


def mean_error(pairs, scores, error):
    """Mean over recalls 0.11 to the highest, of the means over the true positives as sure as there."""
    running, values = [], []
    for _, box, other in pairs:
        value = error(box, other)
        values += [] if math.isnan(value) else [value]
        running.append(sum(values) / len(values) if values else 0.0)
    last = max((place for place, score in enumerate(scores) if score > 0), default=0)
    if last < 11 or not values:
        return 1.0
    sure = [score for score, *_ in pairs]
    return float(np.mean(np.interp(scores[::-1], sure[::-1], running[::-1])[::-1][11 : last + 1]))


@pytest.mark.parametrize("seed", range(3))
def test_the_score_is_that_of_plain_loops(seed: int):
    truths, detections = random_frames(seed)
    scenes = [KeyFrame(EGO, np.zeros((0, 7)))] * len(truths)
    figures = detection_score(truths, detections, scenes)
    undefined = {"traffic_cone": (2, 3, 4), "barrier": (3, 4)}
    table, precisions = [], []
    for label, name in enumerate(CLASSES):
        precision, errors = plain_class(truths, detections, name, label)
        assert figures[f"AP_{name}"] == pytest.approx(precision, abs=1e-9)
        precisions.append(precision)
        table.append([math.nan if place in undefined.get(name, ()) else error for place, error in enumerate(errors)])
    means = np.nanmean(np.array(table), axis=0)
    for error, mean in zip(("mATE", "mASE", "mAOE", "mAVE", "mAAE"), means, strict=True):
        assert figures[error] == pytest.approx(mean, abs=1e-9)
    score = (5 * sum(precisions) / 10 + sum(1 - min(1, error) for error in means)) / 10
    assert 0 < figures["NDS"] == pytest.approx(score, abs=1e-9)


def test_far_objects_and_cycles_in_racks_do_not_count():
    places = np.array([(1049.9, 500), (1050.1, 500), (1000, 470.1), (1000, 469.9), (1005, 505), (1005, 505)])
    boxes = np.column_stack([places, np.ones(6), np.ones((6, 4))])
    rack = np.array([[1005.0, 505, 1, 4, 4, 2, 0.5]])
    labels = np.array([CAR, CAR, CONE, CONE, BICYCLE, PEDESTRIAN])
    assert counted(boxes, labels, KeyFrame(EGO, rack)).tolist() == [True, False, True, False, False, True]
