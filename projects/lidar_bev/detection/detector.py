"""CenterPoint: an encoder of sweeps and a head of class heatmaps, on MMEngine's model."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor

from ccrop.models import gaussian_focal_loss
from ccrop.projects.lidar_bev.detection.decoding import decode
from ccrop.projects.lidar_bev.detection.head import CenterHead, CenterMaps
from ccrop.projects.lidar_bev.detection.losses import center_l1_loss
from ccrop.projects.lidar_bev.detection.targets import center_targets
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.models.encoders import Encoder


class CenterPoint(BaseModel):
    """Sweeps to boxes (Yin et al., CVPR 2021, the first stage).

    Args:
        backbone: an encoder of :mod:`ccrop.projects.lidar_bev.models`, or the config of one, with that of its grid.
        classes: names of what is detected.
        distances: per class, how far apart two detections are at least, in metres.
        channels: of the head.
        min_radius: of the target's Gaussians, in cells of the map.
        regression_weight: of the boxes' loss beside the heatmaps'.
        min_score: lower detections are left out.
        top: detections a sweep, at most.
    """

    def __init__(
        self,
        backbone: Encoder | dict[str, Any],
        classes: Sequence[str],
        distances: Sequence[float],
        channels: int = 64,
        min_radius: int = 2,
        regression_weight: float = 0.25,
        min_score: float = 0.02,
        top: int = 200,
    ) -> None:
        super().__init__()
        if len(distances) != len(classes):
            raise ValueError(f"distances must have an entry for each of the classes {classes}, got {distances}")
        if isinstance(backbone, dict):
            self.backbone: Encoder = MODELS.build(backbone | dict(grid=TASK_UTILS.build(backbone["grid"])))
        else:
            self.backbone = backbone
        self.head = CenterHead(self.backbone.out_channels, len(classes), channels)
        self.classes = tuple(classes)
        self.distances = tuple(distances)
        self.min_radius = min_radius
        self.regression_weight = regression_weight
        self.min_score = min_score
        self.top = top

    def forward(
        self,
        points: list[Tensor],
        boxes: list[Tensor] | None = None,
        labels: list[Tensor] | None = None,
        heading_weights: list[Tensor] | None = None,
        mode: str = "tensor",
    ) -> CenterMaps | dict[str, Tensor] | list[Detections]:
        """
        Args:
            points: N of ``(points, columns)``.
            boxes, labels: for ``mode='loss'``, see :func:`.center_targets`.
            heading_weights: per sweep ``(M_i,)``, of pseudo-boxes, whose front and back are not known, see
                :func:`.center_l1_loss`.
            mode: "tensor" for the head's maps, "loss", or "predict".
        """
        maps = self.head(self.backbone(points))
        if mode == "tensor":
            return maps
        if mode == "loss":
            assert boxes is not None
            assert labels is not None
            return self.loss(maps, boxes, labels, heading_weights)
        return self.detections(maps)

    def loss(
        self,
        maps: CenterMaps,
        boxes: list[Tensor],
        labels: list[Tensor],
        heading_weights: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """``loss_heatmap`` and ``loss_boxes``."""
        encoder = self.backbone
        targets = center_targets(boxes, labels, encoder.grid, encoder.stride, len(self.classes), self.min_radius)
        weights = None if heading_weights is None else torch.cat(heading_weights)
        of_boxes = center_l1_loss(maps.regression, targets.cells, targets.regression, targets.counted, weights)
        return dict(
            loss_heatmap=gaussian_focal_loss(maps.logits, targets.heatmaps),
            loss_boxes=self.regression_weight * of_boxes,
        )

    @torch.no_grad()
    def detections(self, maps: CenterMaps) -> list[Detections]:
        """What was found in each sweep, the surest first, as arrays."""
        encoder = self.backbone
        found = decode(
            maps.logits.sigmoid(),
            maps.regression,
            encoder.grid,
            encoder.stride,
            self.distances,
            self.min_score,
            self.top,
        )
        boxes, scores, labels, kept = (values.cpu().numpy() for values in found)
        return [Detections(boxes[i, own], scores[i, own], labels[i, own]) for i, own in enumerate(kept)]
