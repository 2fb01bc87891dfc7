"""The score from which detections are worth keeping: where the F1 score of a test is best.

    python projects/detection_transfer/operating_point.py work_dirs/tiles_r18 work_dirs/OTHER

prints it for finished fine-tuning runs, as their logs do.
"""

import contextlib
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ccrop.cli import command, command_parser
from ccrop.experiments.paired_bootstrap import read_kept
from ccrop.projects.detection_transfer.average_precision import evaluate
from ccrop.projects.detection_transfer.resampled_metrics import outcomes_of

AT_50 = 0  # index of the IoU threshold 0.5


class OperatingPoint(NamedTuple):
    """What detections with at least some score are worth, over all categories and sizes, at an IoU of 0.5.

    Attributes:
        score: the lowest that is kept.
        precision: fraction of the kept detections that hit an object, each object counted once.
        recall: fraction of the objects that are hit.
    """

    score: float
    precision: float
    recall: float

    @property
    def min_score(self) -> float:
        """The score, rounded down to two decimals."""
        return math.floor(100 * self.score) / 100

    @property
    def f1(self) -> float:
        return 2 * self.precision * self.recall / (self.precision + self.recall)


def best_f1(evaluation: COCOeval) -> OperatingPoint | None:
    """The operating point with the best F1 score; None if no object is hit.

    Args:
        evaluation: of :func:`ccrop.projects.detection_transfer.average_precision.evaluate`.
    """
    by_category = np.split(np.array(evaluation.evalImgs, dtype=object), len(evaluation.params.catIds))
    seen = [number for number, cells in enumerate(by_category) if any(each is not None for each in cells)]
    found = [outcomes_of(evaluation, category, "all") for category in seen]
    scores = np.concatenate([each.scores[each.used[AT_50]] for each in found])
    hits = np.concatenate([each.hits[AT_50][each.used[AT_50]] for each in found])
    if not hits.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, hits = scores[order], hits[order].cumsum()
    last = np.append(scores[1:] < scores[:-1], True)  # of equal scores
    scores, hits, kept = scores[last], hits[last], np.arange(1, len(last) + 1)[last]
    objects = sum(int(each.objects.sum()) for each in found)
    best = int(np.argmax(2 * hits / (kept + objects)))
    return OperatingPoint(float(scores[best]), float(hits[best] / kept[best]), float(hits[best] / objects))


def described(point: OperatingPoint) -> str:
    """One line for the log, with the option of ``predict`` that keeps these detections."""
    return (
        f"Best F1 score at IoU 0.5 over all categories: {point.f1:.1%} (precision {point.precision:.1%}, "
        f"recall {point.recall:.1%}), with predict --min-score {point.min_score:.2f}"
    )


def of_run(work_dir: Path) -> OperatingPoint | None:
    """The best operating point of a fine-tuning run, from what its test kept.

    Raises:
        FileNotFoundError, ValueError: see :func:`ccrop.experiments.paired_bootstrap.read_kept`.
    """
    kept = read_kept(work_dir, ("images", "objects", "found"))
    images = kept["images"].tolist()
    return best_f1(evaluate(annotations(images, kept["objects"], kept["found"][:, 6]), kept["found"], images))


def annotations(images: Sequence[int], objects: NDArray[np.floating], detected: NDArray[np.floating]) -> COCO:
    """The objects ``(G, 8)`` that :class:`.SmallObjectMetric` kept, and the categories of these and of detections."""
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=image) for image in images],
        categories=[dict(id=int(number)) for number in np.union1d(objects[:, 6], detected)],
        annotations=[
            dict(
                id=number,
                image_id=int(row[0]),
                bbox=row[1:5].tolist(),
                area=row[5],
                category_id=int(row[6]),
                iscrowd=int(row[7]),
            )
            for number, row in enumerate(objects, 1)
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


@command
def main(argv: Sequence[str] | None = None) -> int:
    parser = command_parser(__doc__)
    parser.add_argument("work_dirs", nargs="+", type=Path, metavar="WORK_DIR", help="of finished fine-tuning runs")
    for folder in parser.parse_args(argv).work_dirs:
        point = of_run(folder)
        print(f"{folder}: {'no object is hit' if point is None else described(point)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
