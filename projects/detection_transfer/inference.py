"""A trained detector and what it finds in an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from ccrop.transfer import prediction

if TYPE_CHECKING:
    from mmdet.models import BaseDetector


class ImageDetections(NamedTuple):
    """Of one image: boxes ``(M, 4)`` x0, y0, x1, y1 in pixels, scores and labels ``(M,)``, best score first."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def load_detector(detector: str | Path, config: str | Path | None = None) -> tuple[Config, "BaseDetector"]:
    """Config and model of mmdet's registry, see :func:`ccrop.transfer.prediction.load_detector`."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        return prediction.load_detector(detector, "images", MODELS.build, config)


@torch.no_grad()
def detect(model: "BaseDetector", sample: dict[str, Any], score: float) -> ImageDetections:
    """Detections of one sample of the test pipeline above a score."""
    (result,) = model.test_step(dict(inputs=[sample["inputs"]], data_samples=[sample["data_samples"]]))
    found = result.pred_instances.cpu()
    found = found[found.scores >= score]
    found = found[found.scores.argsort(descending=True)]
    return ImageDetections(found.bboxes, found.scores, found.labels)
