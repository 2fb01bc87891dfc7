"""KITTI's average precision at 40 recalls, from above or in 3D (Geiger et al., CVPR 2012; Simonelli et al., 2019).

Objects of a neighboring class and those beyond a difficulty are ignored: detecting them is neither true nor false.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.datasets.kitti_format import KittiObjects
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious, ious_3d

MIN_IOU = {"Car": 0.7, "Pedestrian": 0.5, "Cyclist": 0.5}
NEIGHBORS = {"Car": "Van", "Pedestrian": "Person_sitting"}
NUM_RECALLS = 40


class Difficulty(NamedTuple):
    """Which objects count: the smallest height in the image in pixels, the highest occlusion level and truncation."""

    min_height: float
    max_occlusion: int
    max_truncation: float


DIFFICULTIES = {
    "easy": Difficulty(40, 0, 0.15),
    "moderate": Difficulty(25, 1, 0.3),
    "hard": Difficulty(25, 2, 0.5),
}


class Frame(NamedTuple):
    """A frame's objects and detections of one class, and those to be ignored.

    Attributes:
        ious: ``(M, D)``.
        scores: ``(D,)``.
        ignored_objects: ``(M,)`` bool.
        ignored_detections: ``(D,)`` bool.
    """

    ious: NDArray
    scores: NDArray
    ignored_objects: NDArray[np.bool_]
    ignored_detections: NDArray[np.bool_]


def kitti_ap(
    labels: Sequence[KittiObjects],
    results: Sequence[KittiObjects],
    name: str,
    difficulty: str = "moderate",
    view: Literal["bev", "3d"] = "3d",
    min_iou: float | None = None,
) -> float:
    """AP_R40 of a class in percent, NaN if no object of the difficulty counts.

    Args:
        labels: per frame.
        results: per frame, with scores. Detections that are lower in the image than the difficulty's smallest height
            are ignored where they are false. As in the benchmark, those of other classes are ignored, too, rather than
            absent: an object that one of them matches best is neither found nor missed by it.
        name: Car, Pedestrian or Cyclist.
        difficulty: easy, moderate or hard.
        view: "bev" from above, or "3d".
        min_iou: default 0.7 for cars, 0.5 for others.

    Raises:
        ValueError: the numbers of results and labels differ, or an unknown name.
    """
    if len(labels) != len(results):
        raise ValueError(f"{len(labels)} frames have labels and {len(results)} have results: give both for every frame")
    for what, value, known in (("name", name, MIN_IOU), ("difficulty", difficulty, DIFFICULTIES)):
        if value not in known:
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    if view not in ("bev", "3d"):
        raise ValueError(f"view must be 'bev' or '3d', got {view!r}")
    overlap = bev_ious if view == "bev" else ious_3d
    frames = [
        _frame(label, result, name, DIFFICULTIES[difficulty], overlap)
        for label, result in zip(labels, results, strict=True)
    ]
    return ap_r40(frames, MIN_IOU[name] if min_iou is None else min_iou)


def ap_r40(frames: Sequence[Frame], min_iou: float) -> float:
    """AP in percent: mean of the precision at recalls 1/40 to 1, each the highest at that recall or a higher one."""
    num_objects = sum(int((~frame.ignored_objects).sum()) for frame in frames)
    if not num_objects:
        return float("nan")
    true_scores = np.concatenate([_scores_of_true(frame, min_iou) for frame in frames])
    thresholds = recall_thresholds(true_scores, num_objects)
    counts = sum((_true_and_false(frame, min_iou, thresholds) for frame in frames), np.zeros((2, len(thresholds))))
    precision = np.zeros(NUM_RECALLS + 1)
    precision[: len(thresholds)] = counts[0] / counts.sum(axis=0).clip(min=1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(highest[1:].mean() * 100)


def recall_thresholds(scores: NDArray, num_objects: int) -> NDArray:
    """Scores at which the recall comes closest to 0, 1/40, ..., 1, as far as it gets: ``(41,)`` or fewer, descending.

    The target recall grows by 1/40 step after step, as the benchmark's does: a product would round otherwise, and
    choose other scores where two are equally close.

    Args:
        scores: of true positives, in any order.
    """
    ordered = np.sort(scores)[::-1]
    thresholds: list[float] = []
    wanted = 0.0
    for i, score in enumerate(ordered):
        is_last = i == len(ordered) - 1
        if not is_last and (i + 2) / num_objects - wanted < wanted - (i + 1) / num_objects:
            continue
        thresholds.append(score)
        wanted += 1 / NUM_RECALLS
    return np.array(thresholds[: NUM_RECALLS + 1])


def num_counted(labels: Sequence[KittiObjects], name: str, difficulty: str) -> int:
    """How many objects of a class count at a difficulty.

    AP_R40 samples 41 recalls, each at the score of another true positive: of n <= 40 objects that are all found, the
    last 41 - n recalls have no score, and the AP ends at (n - 1) / 40.
    """
    return sum(int((_named(each, name) & ~_hard(each, DIFFICULTIES[difficulty])).sum()) for each in labels)


def _named(labels: KittiObjects, name: str | None) -> NDArray[np.bool_]:
    return np.array(labels.names, dtype=object) == name


def _hard(labels: KittiObjects, difficulty: Difficulty) -> NDArray[np.bool_]:
    """Which objects ``(M,)`` are beyond a difficulty."""
    height = labels.image_boxes[:, 3] - labels.image_boxes[:, 1]
    hard = (height <= difficulty.min_height) | (labels.occluded > difficulty.max_occlusion)
    return hard | (labels.truncated > difficulty.max_truncation)


def _frame(labels: KittiObjects, results: KittiObjects, name: str, difficulty: Difficulty, overlap: Callable) -> Frame:
    own = _named(labels, name)
    wanted = own | _named(labels, NEIGHBORS.get(name))
    low = results.image_boxes[:, 3] - results.image_boxes[:, 1] < difficulty.min_height
    chosen = _named(results, name) | low
    return Frame(
        ious=overlap(labels.boxes[wanted], results.boxes[chosen]),
        scores=results.scores[chosen],
        ignored_objects=(_hard(labels, difficulty) | ~own)[wanted],
        ignored_detections=low[chosen],
    )


def _scores_of_true(frame: Frame, min_iou: float) -> NDArray:
    """Scores of true positives if each object in turn takes the most confident free detection that overlaps enough."""
    free = np.ones(len(frame.scores), dtype=bool)
    scores = []
    for ious, ignored in zip(frame.ious, frame.ignored_objects, strict=True):
        candidates = np.flatnonzero(free & (ious > min_iou))
        if not len(candidates):
            continue
        best = candidates[frame.scores[candidates].argmax()]
        free[best] = False
        if not (ignored or frame.ignored_detections[best]):
            scores.append(frame.scores[best])
    return np.array(scores)


def _true_and_false(frame: Frame, min_iou: float, thresholds: NDArray) -> NDArray:
    """Numbers of true and of false positives at each threshold: ``(2, T)``.

    Each object in turn takes the free detection with the largest overlap, an ignored one only if there is no other.
    """
    shown = frame.scores >= thresholds[:, None]  # (T, D)
    free = shown.copy()
    true = np.zeros(len(thresholds))
    every = np.arange(len(thresholds))
    if not len(frame.scores):
        return np.zeros((2, len(thresholds)))
    for ious, ignored in zip(frame.ious, frame.ignored_objects, strict=True):
        enough = ious > min_iou
        if not enough.any():
            continue
        # counted detections by overlap, then ignored ones in their order
        rank = np.where(frame.ignored_detections, -1 - np.arange(len(ious)), ious)
        rank = np.where(free & enough, rank, -np.inf)
        best = rank.argmax(axis=1)
        found = rank[every, best] > -np.inf
        free[every[found], best[found]] = False
        if not ignored:
            true += found & ~frame.ignored_detections[best]
    return np.stack([true, (free & ~frame.ignored_detections).sum(axis=1)])
