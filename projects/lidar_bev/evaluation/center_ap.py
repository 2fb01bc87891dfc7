"""Average precision by center distance, as defined by nuScenes (Caesar et al., CVPR 2020, section 3.1).

A detection is correct if its center lies less than a threshold away from that of an object of its class, seen from
above, whatever its size: small and distant objects are not lost to an IoU that they cannot reach.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped

THRESHOLDS = (0.5, 1.0, 2.0, 4.0)  # meters
ERROR_THRESHOLD = 2.0  # at which the errors of true positives are computed
RECALLS = np.linspace(0, 1, 101)
MIN_RECALL = MIN_PRECISION = 0.1


class Truth(NamedTuple):
    """The objects of a sweep.

    Attributes:
        boxes: ``(M, 7)``, see :mod:`ccrop.projects.lidar_bev.boxes`.
        labels: ``(M,)`` int64.
        counted: ``(M,)`` bool, whether finding the object counts; None for all. See :func:`center_metrics`.
    """

    boxes: NDArray
    labels: NDArray[np.int64]
    counted: NDArray[np.bool_] | None = None


class Detections(NamedTuple):
    """A detector's detections in a sweep.

    Attributes:
        boxes: ``(D, 7)``.
        scores: ``(D,)``, the confidences.
        labels: ``(D,)`` int64.
        counted: ``(D,)`` bool, whether it counts as false if it matches nothing; None for all.
        velocities: ``(D, 2)`` along x and y in meters per second; None if the detector gives none.
    """

    boxes: NDArray
    scores: NDArray
    labels: NDArray[np.int64]
    counted: NDArray[np.bool_] | None = None
    velocities: NDArray | None = None


class CenterMetrics(NamedTuple):
    """The metrics of one class.

    Attributes:
        ap: average precision per threshold, in [0, 1].
        translation: mean distance of centers in meters, at ``ERROR_THRESHOLD``.
        scale: mean of 1 - IoU of sizes, the boxes laid over each other.
        heading: mean angle between headings in radians; pi / 2 where they are guessed.
        axis: the same modulo pi, which does not tell front from back; pi / 4 where guessed.
        num_objects: that count. Without any, all metrics are NaN.
    """

    ap: dict[float, float]
    translation: float
    scale: float
    heading: float
    axis: float
    num_objects: int

    @property
    def mean_ap(self) -> float:
        """Over the thresholds."""
        return float(np.mean(list(self.ap.values())))


class Matches(NamedTuple):
    """Detections of one class in all sweeps, most confident first, without those that do not count.

    Attributes:
        scores: ``(D,)``.
        detections: ``(D, 7)``, or with as many columns more as the boxes have.
        objects: the same, the object that each matched; NaN if it matched none.
        sweeps: ``(D,)``, the number of the sweep of each.
        counts: ``(S,)``, objects that count, in each sweep.
    """

    scores: NDArray
    detections: NDArray
    objects: NDArray
    sweeps: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def num_objects(self) -> int:
        """In all sweeps."""
        return int(self.counts.sum())

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which detections ``(D,)`` matched."""
        return np.isfinite(self.objects[:, 0])


def center_metrics(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    label: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> CenterMetrics:
    """The metrics of a class over sweeps.

    For metrics of only some objects, such as those in a range, the others do not count: a detection that matches such
    an object is ignored, neither true nor false, and so is one that matches nothing and does not count itself.

    Args:
        truths: per sweep.
        detections: per sweep.
        label: of the class.
        thresholds: in meters.

    Raises:
        ValueError: the numbers of truths and detections differ.
    """
    if len(truths) != len(detections):
        raise ValueError(
            f"{len(truths)} sweeps have ground truth and {len(detections)} have detections: give both for every sweep"
        )
    ap = {threshold: average_precision(match(truths, detections, label, threshold)) for threshold in thresholds}
    matches = match(truths, detections, label, ERROR_THRESHOLD)
    found, objects = matches.detections, matches.objects
    smaller = np.minimum(found[:, 3:6], objects[:, 3:6]).prod(axis=1)
    turn = (found - objects)[:, 6]
    errors = dict(
        translation=np.hypot(*(found - objects)[:, :2].T),
        scale=1 - smaller / (found[:, 3:6].prod(axis=1) + objects[:, 3:6].prod(axis=1) - smaller),
        heading=abs(wrapped(turn)),
        axis=abs(wrapped(2 * turn)) / 2,
    )
    means = {name: mean_error(values, matches) for name, values in errors.items()}
    return CenterMetrics(ap=ap, **means, num_objects=matches.num_objects)


def match(truths: Sequence[Truth], detections: Sequence[Detections], label: int, threshold: float) -> Matches:
    """Match each detection of a class, most confident first, with the nearest free object within ``threshold`` m."""
    own_truths = [truth.boxes[truth.labels == label] for truth in truths]
    counted_truths = [_counted(truth)[truth.labels == label] for truth in truths]
    objects_of_each = np.array([counted.sum() for counted in counted_truths], dtype=np.int64)

    chosen = [np.flatnonzero(each.labels == label) for each in detections]
    chosen = [own[np.argsort(-each.scores[own], kind="stable")] for own, each in zip(chosen, detections, strict=True)]
    scores, boxes, objects, used = [], [], [], []
    for truth, counts, each, own in zip(own_truths, counted_truths, detections, chosen, strict=True):
        partner = nearest_free(each.boxes[own, :2], truth[:, :2], threshold)
        matched = partner >= 0
        partners = np.full((len(own), truth.shape[1]), np.nan)
        partners[matched] = truth[partner[matched]]
        use = _counted(each)[own]
        use[matched] = counts[partner[matched]]
        scores.append(each.scores[own])
        boxes.append(each.boxes[own])
        objects.append(partners)
        used.append(use)
    if not scores:
        return Matches(np.zeros(0), np.zeros((0, 7)), np.zeros((0, 7)), np.zeros(0, np.int64), objects_of_each)
    use = np.concatenate(used)
    sweeps = np.repeat(np.arange(len(scores)), [len(each) for each in scores])
    score, box, partner, sweep = (np.concatenate(each)[use] for each in (scores, boxes, objects, [sweeps]))
    order = np.argsort(-score, kind="stable")
    return Matches(score[order], box[order], partner[order], sweep[order], objects_of_each)


def nearest_free(centers: NDArray, targets: NDArray, threshold: float) -> NDArray[np.int64]:
    """For each of the centers ``(D, 2)`` in turn, the nearest target ``(M, 2)`` that is free, or -1: ``(D,)``."""
    partner = np.full(len(centers), -1)
    if not len(targets):
        return partner
    distance = np.hypot(*np.moveaxis(centers[:, None] - targets, -1, 0))
    # all others are far from everything
    for i in np.flatnonzero(distance.min(axis=1) < threshold):
        nearest = distance[i].argmin()
        if distance[i, nearest] < threshold:
            partner[i] = nearest
            distance[:, nearest] = np.inf
    return partner


def average_precision(matches: Matches) -> float:
    """Mean of the precision above ``MIN_PRECISION`` over recalls above ``MIN_RECALL``, scaled to [0, 1].

    NaN without objects, 0 without detections. The precision at 101 recalls is interpolated linearly, and 0 beyond the
    highest recall.
    """
    return precision_of(matches.right, matches.num_objects)


def precision_of(right: NDArray[np.bool_], num_objects: int) -> float:
    """:func:`average_precision` of detections ``(D,)``, most confident first, of which some are ``right``."""
    if not num_objects:
        return float("nan")
    if not len(right):
        return 0.0
    recall, precision = recall_and_precision(right, num_objects)
    at = np.interp(RECALLS, recall, precision, right=0)[_first_recall() :]
    return float(((at - MIN_PRECISION) / (1 - MIN_PRECISION)).clip(min=0).mean())


def mean_error(errors: NDArray, matches: Matches) -> float:
    """Mean error of true positives over recalls above ``MIN_RECALL``, up to the highest that is reached.

    At each recall it is the mean over all true positives that are at least as confident as the detection that reaches
    it. 1 where ``MIN_RECALL`` is not reached, NaN without objects.

    Args:
        errors: ``(D,)``, of detections that matched; others are ignored. NaN if the object has no such value: it is
            left out of means, and where none is left the error is 1.
    """
    if not matches.num_objects:
        return float("nan")
    right = matches.right
    if not right.any():
        return 1.0
    recall, _ = recall_and_precision(right, matches.num_objects)
    known = np.isfinite(errors[right])
    if not known.any():
        return 1.0
    running = np.nancumsum(errors[right]) / np.cumsum(known).clip(min=1)
    score_at = np.interp(RECALLS, recall, matches.scores, right=0)
    at = np.interp(score_at[::-1], matches.scores[right][::-1], running[::-1])[::-1]
    reached = np.flatnonzero(score_at)
    last = reached[-1] if len(reached) else 0
    if last < _first_recall():
        return 1.0
    return float(at[_first_recall() : last + 1].mean())


def recall_and_precision(right: NDArray[np.bool_], num_objects: int) -> tuple[NDArray, NDArray]:
    """``(D,)`` each, after each detection."""
    true = np.cumsum(right)
    return true / max(num_objects, 1), true / np.arange(1, len(right) + 1)


def within_range(
    truths: Sequence[Truth], detections: Sequence[Detections], low: float, high: float
) -> tuple[list[Truth], list[Detections]]:
    """The same, counting only what is ``low`` to ``high`` meters from the sensor (seen from above)."""

    def inside(each: Truth | Detections) -> NDArray[np.bool_]:
        distance = np.hypot(each.boxes[:, 0], each.boxes[:, 1])
        return _counted(each) & (distance >= low) & (distance < high)

    return (
        [each._replace(counted=inside(each)) for each in truths],
        [each._replace(counted=inside(each)) for each in detections],
    )


def within_points(
    truths: Sequence[Truth],
    detections: Sequence[Detections],
    truth_points: Sequence[NDArray[np.int64]],
    detection_points: Sequence[NDArray[np.int64]],
    low: int,
    high: int,
) -> tuple[list[Truth], list[Detections]]:
    """The same, counting only what holds ``low`` to ``high - 1`` points; see :func:`.num_points_in_boxes`."""

    def inside(each: Truth | Detections, points: NDArray[np.int64]) -> NDArray[np.bool_]:
        return _counted(each) & (points >= low) & (points < high)

    return (
        [each._replace(counted=inside(each, own)) for each, own in zip(truths, truth_points, strict=True)],
        [each._replace(counted=inside(each, own)) for each, own in zip(detections, detection_points, strict=True)],
    )


def _counted(each: Truth | Detections) -> NDArray[np.bool_]:
    return np.ones(len(each.boxes), dtype=bool) if each.counted is None else each.counted.copy()


def _first_recall() -> int:
    """The first of ``RECALLS`` above ``MIN_RECALL``."""
    return round(MIN_RECALL * (len(RECALLS) - 1)) + 1
