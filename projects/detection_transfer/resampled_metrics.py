"""How much a metric depends on the choice of test images: average precision of resampled images (Efron, 1979).

Detections are matched with objects once, by pycocotools, image by image. An image that a resample draws n times counts
n times, so a resample costs two cumulative sums over the detections and no evaluation.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from ccrop.experiments.paired_bootstrap import RESAMPLES, draws_of, mean_known
from ccrop.projects.detection_transfer.average_precision import AREAS, counted, object_counts

RESAMPLED = ("AP_S_counted", "AP50_S_counted")
CELLS = 2**22  # resamples x detections at once


class Outcomes(NamedTuple):
    """The outcomes of the detections of one category, best score first, for objects of one size.

    Attributes:
        images: ``(D,)``, which of the tested images a detection is of.
        scores: ``(D,)``.
        hits: ``(IoU thresholds, D)``, whether it found an object of the size.
        used: ``(IoU thresholds, D)``, whether it is a hit or false; the rest found or could be objects of other sizes.
        objects: ``(I,)`` objects of each image.
    """

    images: NDArray[np.int64]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    used: NDArray[np.bool_]
    objects: NDArray[np.int64]


def outcomes_of(evaluation: COCOeval, category: int, size: str) -> Outcomes:
    """The outcomes of an evaluation.

    Args:
        evaluation: of :func:`ccrop.projects.detection_transfer.average_precision.evaluate`.
        category: its index among the evaluation's categories; it has objects or detections.
        size: one of :data:`.AREAS`.
    """
    number = len(evaluation.params.imgIds)
    start = (category * len(AREAS) + list(AREAS).index(size)) * number
    found = [
        (image, each) for image, each in enumerate(evaluation.evalImgs[start : start + number]) if each is not None
    ]
    images = np.concatenate([np.full(len(each["dtScores"]), image) for image, each in found])
    scores = np.concatenate([np.asarray(each["dtScores"], dtype=float) for _, each in found])
    order = np.argsort(-scores, kind="stable")
    used = ~np.concatenate([each["dtIgnore"].astype(bool) for _, each in found], axis=1)[:, order]
    hits = np.concatenate([each["dtMatches"] > 0 for _, each in found], axis=1)[:, order] & used
    objects = np.zeros(number, dtype=np.int64)
    for image, each in found:
        objects[image] = (each["gtIgnore"] == 0).sum()
    return Outcomes(images[order], scores[order], hits, used, objects)


def resampled_precision(outcomes: Outcomes, draws: NDArray[np.integer], recalls: NDArray[np.floating]) -> NDArray:
    """Average precision at each IoU threshold of each resample, ``(IoU thresholds, R)``; nan without any object.

    Args:
        draws: ``(R, I)``, how often each image is drawn.
        recalls: at which the precision is taken, COCO's 101.
    """
    objects = draws @ outcomes.objects
    precision = np.zeros((len(outcomes.hits), len(draws)))
    for place, (hits, used) in enumerate(zip(outcomes.hits, outcomes.used, strict=True)):
        if not hits.any():
            continue
        images, hits = outcomes.images[used], hits[used]
        last = int(hits.nonzero()[0][-1]) + 1  # recall ends there
        images, hits = images[:last], hits[:last]
        rows = np.array_split(np.arange(len(draws)), math.ceil(len(draws) * last / CELLS))
        for some in rows:
            drawn = draws[some][:, images]
            found = drawn[:, hits].cumsum(axis=1)
            curve = found / np.maximum(drawn.cumsum(axis=1)[:, hits], 1)
            best = np.maximum.accumulate(curve[:, ::-1], axis=1)[:, ::-1]
            recall = found / np.maximum(objects[some, None], 1)
            for row, own, reached in zip(some, best, recall, strict=True):
                at = np.searchsorted(reached, recalls)
                precision[place, row] = own[at[at < len(own)]].sum() / len(recalls)
    precision[:, objects == 0] = np.nan
    return precision


def resampled_metrics(
    evaluation: COCOeval, min_objects: int, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, NDArray[np.float64]]:
    """The metrics :data:`RESAMPLED`, ``(1 + resamples,)`` each: of the original images, then of each resample.

    The resamples are those of :func:`.draws_of`. The categories that count are those of the original images.

    Args:
        evaluation: of :func:`ccrop.projects.detection_transfer.average_precision.evaluate`.
        min_objects: see :func:`ccrop.projects.detection_transfer.average_precision.average_precision`.
        resamples, seed: see :func:`.draws_of`.
    """
    draws = draws_of(len(evaluation.params.imgIds), resamples, seed)
    objects = object_counts(evaluation)[:, list(AREAS).index("small")]
    found = [
        resampled_precision(outcomes_of(evaluation, category, "small"), draws, evaluation.params.recThrs)
        for category in counted(objects, min_objects).nonzero()[0]
    ]
    by_category = np.array(found).reshape(len(found), len(evaluation.params.iouThrs), len(draws))
    return {
        name: mean_known(values)
        for name, values in zip(RESAMPLED, (by_category.mean(axis=1), by_category[:, 0]), strict=True)
    }
