"""COCO's average precision by object size, over all categories and over those with enough objects."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# areas in pixels of the original image, COCO's and two parts of its "small"
AREAS = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
    "tiny": (0, 16**2),
    "16-32": (16**2, 32**2),
}
SUFFIXES = {"all": "", "small": "_S", "medium": "_M", "large": "_L", "tiny": "_tiny", "16-32": "_16-32"}
DISJOINT = ("small", "medium", "large")
MIN_OBJECTS = 50


def evaluate(truth: COCO, found: NDArray[np.floating], images: Sequence[int]) -> COCOeval:
    """pycocotools' evaluation of at most 100 detections per image, by the sizes of :data:`AREAS`.

    Args:
        truth: annotations; ids starting at 0 are shifted to 1, because pycocotools reads 0 as no match.
        found: ``(M, 7)`` image id, x, y, width, height, score, category id.
        images: ids of the images that count.
    """
    if not len(found):  # pycocotools cannot load an empty list
        found = np.array([[images[0], 0, 0, 1, 1, 0, truth.getCatIds()[0]]])
    with contextlib.redirect_stdout(io.StringIO()):
        if 0 in truth.anns:
            for each in truth.dataset["annotations"]:
                each["id"] += 1
            truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.params.imgIds = list(images)
        evaluation.params.areaRng = list(map(list, AREAS.values()))
        evaluation.params.areaRngLbl = list(AREAS)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def object_counts(evaluation: COCOeval) -> NDArray[np.int64]:
    """Annotated objects by category and size ``(C, len(AREAS))``, without crowds."""
    shape = (len(evaluation.params.catIds), len(AREAS), len(evaluation.params.imgIds))
    numbers = [0 if each is None else int((each["gtIgnore"] == 0).sum()) for each in evaluation.evalImgs]
    return np.reshape(numbers, shape).sum(axis=2)


def counted(objects: NDArray[np.integer], min_objects: int) -> NDArray[np.bool_]:
    """Which numbers of objects make a category count: at least ``min_objects``, and at least one."""
    return objects >= max(1, min_objects)


def average_precision(evaluation: COCOeval, min_objects: int = MIN_OBJECTS) -> dict[str, float]:
    """Metrics in [0, 1]; nan if no category counts.

    ``AP`` is the mean over IoU 0.5 to 0.95, ``AP50`` only at 0.5, each over objects of all sizes and, by suffix, over
    those of one size (``AP_S``, ``AP50_S``, ...); ``AP75`` and ``AR_S`` complete COCO's. These are means over the
    categories with any object of the size. ``*_counted`` are means over those with at least ``min_objects``: the
    precision of a category with only a handful of objects is mostly chance, but weighs as much as any other.

    Args:
        evaluation: of :func:`evaluate`.
    """
    precision = evaluation.eval["precision"][..., -1].mean(axis=1)  # (IoU, category, size), over recall
    recall = evaluation.eval["recall"][..., -1]  # (IoU, category, size)
    objects = object_counts(evaluation)
    metrics = {}
    for place, suffix in enumerate(SUFFIXES.values()):
        for name, values in (("AP", precision[..., place].mean(axis=0)), ("AP50", precision[0, :, place])):
            metrics[f"{name}{suffix}"] = _mean(values, objects[:, place] > 0)
            metrics[f"{name}{suffix}_counted"] = _mean(values, counted(objects[:, place], min_objects))
    small = list(AREAS).index("small")
    metrics["AP75"] = _mean(precision[5, :, 0], objects[:, 0] > 0)
    metrics["AR_S"] = _mean(recall[..., small].mean(axis=0), objects[:, small] > 0)
    return metrics


def _mean(values: NDArray[np.floating], used: NDArray[np.bool_]) -> float:
    return float(values[used].mean()) if used.any() else float("nan")


def describe_counts(names: Sequence[str], objects: NDArray[np.integer], min_objects: int) -> str:
    """A line that says how many objects there are, which categories count, and which do not.

    Args:
        names: of the categories.
        objects: ``(C, len(AREAS))``, see :func:`object_counts`.
    """
    numbers = [objects[:, list(AREAS).index(size)] for size in DISJOINT]
    listed = [f"{name} {'/'.join(map(str, each))}" for name, *each in zip(names, *numbers, strict=True)]
    parts = []
    for size, number in zip(DISJOINT, numbers, strict=True):
        enough = counted(number, min_objects)
        rare = [f"{name} ({n})" for name, n, used in zip(names, number, enough, strict=True) if n and not used]
        own = ", ".join(name for name, used in zip(names, enough, strict=True) if used) or "none"
        parts.append(f"{size}: {own}" + (f", without {', '.join(rare)}" if rare else ""))
    return (
        f"Objects, {'/'.join(DISJOINT)}: {', '.join(listed)}; *_counted average categories with at least "
        f"{min_objects} of the size: {'; '.join(parts)}"
    )
