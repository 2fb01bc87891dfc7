"""COCO's average precision and recall for mmdet's test loop, with a closer look at small objects."""

import contextlib
import io
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger
from numpy.typing import NDArray

from ccrop.files import written
from ccrop.projects.detection_transfer.average_precision import (
    MIN_OBJECTS,
    average_precision,
    describe_counts,
    evaluate,
    object_counts,
)
from ccrop.projects.detection_transfer.operating_point import best_f1, described
from ccrop.projects.detection_transfer.resampled_metrics import resampled_metrics


@METRICS.register_module()
class SmallObjectMetric(CocoMetric):
    """AP and AP50 by size, AP75 and AR_S, see :func:`.average_precision`; the log says which categories count.

    Args:
        ann_file: COCO-format annotations; default: the objects that the data set's samples carry as ``instances``.
        min_objects: of a size, which a category needs to count for the metrics ``*_counted``.
        keep: file (.npz) for what :mod:`.paired_bootstrap` compares detectors by: ``images (I,)``,
            their ids; ``objects (G, 8)``, image id, x, y, width, height, area, category id and whether it is a crowd;
            ``found (M, 7)``, see :func:`detections`; ``min_objects``; ``min_score`` of :func:`.best_f1`, if an object
            is hit; and :func:`.resampled_metrics`.
        kwargs: see :class:`mmdet.evaluation.CocoMetric`.
    """

    default_prefix = ""  # not None, for which MMEngine warns at every start

    def __init__(
        self, ann_file: str | None = None, min_objects: int = MIN_OBJECTS, keep: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(ann_file, **kwargs)
        self.min_objects = min_objects
        self.keep = keep

    def compute_metrics(self, results: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
        """Metrics in [0, 1]; nan if no annotated object counts."""
        truths, predictions = zip(*results, strict=True)
        if self._coco_api is None:  # VOC's image ids are names, and pycocotools reads numbers
            truths, predictions = (
                [each | dict(img_id=number) for number, each in enumerate(side)] for side in (truths, predictions)
            )
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
            truth = self._coco_api or COCO(self.gt_to_coco_json(truths, f"{folder}/truth"))
        found = detections(predictions, truth.get_cat_ids(cat_names=self.dataset_meta["classes"]))
        evaluation = evaluate(truth, found, [each["img_id"] for each in truths])
        names = [each["name"] for each in truth.load_cats(evaluation.params.catIds)]
        logger = MMLogger.get_current_instance()
        logger.info(describe_counts(names, object_counts(evaluation), self.min_objects))
        point = best_f1(evaluation)
        if point is not None:
            logger.info(described(point))
        if self.keep is not None:
            images = np.array(evaluation.params.imgIds)
            objects, metrics = annotated(truth, images.tolist()), resampled_metrics(evaluation, self.min_objects)
            content: dict[str, Any] = dict(images=images, objects=objects, found=found, min_objects=self.min_objects)
            if point is not None:
                content["min_score"] = point.min_score
            with written(self.keep) as partial:
                np.savez_compressed(partial, **content | metrics)
        return average_precision(evaluation, self.min_objects)


def detections(predictions: Sequence[dict[str, Any]], categories: Sequence[int]) -> NDArray[np.float64]:
    """``(M, 7)`` image id, x, y, width, height, score, category id, as pycocotools reads them."""
    rows = [np.zeros((0, 7))]
    for each in predictions:
        x0, y0, x1, y1 = each["bboxes"].T
        image = np.full_like(x0, each["img_id"], dtype=float)
        rows.append(
            np.stack([image, x0, y0, x1 - x0, y1 - y0, each["scores"], np.array(categories)[each["labels"]]], axis=1)
        )
    return np.concatenate(rows)


def annotated(truth: COCO, images: Sequence[int]) -> NDArray[np.float64]:
    """``(G, 8)`` image id, x, y, width, height, area, category id and crowd or not, of the objects of some images."""
    objects = truth.load_anns(truth.get_ann_ids(img_ids=list(images)))
    rows = [
        [each["image_id"], *each["bbox"], each["area"], each["category_id"], each.get("iscrowd", 0)] for each in objects
    ]
    return np.array(rows, dtype=float).reshape(-1, 8)
