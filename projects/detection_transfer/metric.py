"""COCO's average precision and recall, with small objects looked at more closely."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
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
NAMES = {"all": "AP", "small": "AP_S", "medium": "AP_M", "large": "AP_L", "tiny": "AP_tiny", "16-32": "AP_16-32"}


@METRICS.register_module()
class SmallObjectMetric(CocoMetric):
    """AP, AP50, AP75, AP_S, AP_M, AP_L, AP_tiny (below 16 x 16 px), AP_16-32 and AR_S, by pycocotools.

    Args:
        ann_file: COCO-format annotations; by default the objects that the data set's samples carry as ``instances``.
        kwargs: see :class:`mmdet.evaluation.CocoMetric`.
    """

    default_prefix = None

    def compute_metrics(self, results: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        """Figures in [0, 1]; nan where no annotated object is of that size."""
        truths, predictions = zip(*results, strict=True)
        if self._coco_api is None:  # VOC's image ids are names, and pycocotools reads numbers
            truths, predictions = (
                [each | dict(img_id=number) for number, each in enumerate(side)] for side in (truths, predictions)
            )
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
            truth = self._coco_api or COCO(self.gt_to_coco_json(truths, f"{folder}/truth"))
            categories = truth.get_cat_ids(cat_names=self.dataset_meta["classes"])
            return average_precision(truth, detections(predictions, categories), [each["img_id"] for each in truths])


def detections(predictions: Sequence[dict[str, Any]], categories: Sequence[int]) -> np.ndarray:
    """``(M, 7)`` image id, x, y, width, height, score, category id, as pycocotools reads them."""
    rows = [np.zeros((0, 7))]
    for each in predictions:
        x0, y0, x1, y1 = each["bboxes"].T
        image = np.full_like(x0, each["img_id"], dtype=float)
        rows.append(
            np.stack([image, x0, y0, x1 - x0, y1 - y0, each["scores"], np.array(categories)[each["labels"]]], axis=1)
        )
    return np.concatenate(rows)


def average_precision(truth: COCO, found: np.ndarray, images: Sequence[int]) -> dict[str, float]:
    """AP by size over IoU 0.5 to 0.95, AP50, AP75 and AR_S of at most 100 detections an image.

    Args:
        truth: annotations.
        found: ``(M, 7)``, see :func:`detections`.
        images: ids of the images that count.
    """
    if not len(found):  # pycocotools cannot load nothing
        found = np.array([[images[0], 0, 0, 1, 1, 0, truth.get_cat_ids()[0]]])
    evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
    evaluation.params.imgIds = list(images)
    evaluation.params.areaRng = list(map(list, AREAS.values()))
    evaluation.params.areaRngLbl = list(AREAS)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., -1]  # (IoU, recall, category, area) at 100 detections
    recall = evaluation.eval["recall"][..., -1]  # (IoU, category, area)

    def mean(values: np.ndarray) -> float:
        return float(values[values > -1].mean()) if (values > -1).any() else float("nan")

    figures = {NAMES[area]: mean(precision[..., number]) for number, area in enumerate(AREAS)}
    figures |= {"AP50": mean(precision[0, ..., 0]), "AP75": mean(precision[5, ..., 0])}
    return figures | {"AR_S": mean(recall[..., list(AREAS).index("small")])}
