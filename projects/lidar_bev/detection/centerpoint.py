"""CenterPoint: an encoder of sweeps and a head of class heatmaps, on MMEngine's model."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor

from ccrop.models import gaussian_focal_loss
from ccrop.projects.lidar_bev.detection.box_loss import box_loss
from ccrop.projects.lidar_bev.detection.decoding import Decoded, decode
from ccrop.projects.lidar_bev.detection.head import CenterHead, CenterMaps
from ccrop.projects.lidar_bev.detection.headings import HEADING_CODES
from ccrop.projects.lidar_bev.detection.iou_rescoring import iou_loss
from ccrop.projects.lidar_bev.detection.second_stage import SecondStage
from ccrop.projects.lidar_bev.detection.targets import center_targets, num_channels
from ccrop.projects.lidar_bev.detection.tta import averaged, check_flips, choices
from ccrop.projects.lidar_bev.evaluation.center_ap import Detections
from ccrop.projects.lidar_bev.models.encoders import Encoder

HIDDEN = 4  # channels of the second stage's hidden layers, of the head's; 256 with 64, as in the paper's code


class CenterPoint(BaseModel):
    """Sweeps to boxes (Yin et al., CVPR 2021).

    Args:
        backbone: an encoder of :mod:`ccrop.projects.lidar_bev.models`, or the config of one, with that of its grid.
        classes: names of what is detected.
        distances: per class, the minimum distance between two detections, in meters.
        channels: hidden channels of the head, per group.
        groups: class names per group, each with its own convolutions after the shared one; default: one group.
        flips: axes, "x" and "y", along which test-time augmentation mirrors sweeps, see :mod:`.tta`.
        iou_power: exponent in [0, 1) of a box's predicted IoU in its score, see :mod:`.iou_rescoring`; 0 predicts none.
        heading: "angle" or "axis", how headings are learned, see :mod:`.headings`.
        velocity: also learn and predict velocities, for samples that combine several sweeps.
        second_stage: "iou" or "distance", what the confidence of a second stage is learned from, see
            :mod:`.second_stage`; None for the first stage alone. With it, the first stage is frozen.
        min_radius: of the target's Gaussians, in cells of the map.
        regression_weight: of the box loss relative to the heatmap loss.
        velocity_weight: of the velocity channels in the box loss, relative to the others.
        min_score: detections with a lower score are dropped.
        top: maximum number of detections per sweep.
    """

    def __init__(
        self,
        backbone: Encoder | dict[str, Any],
        classes: Sequence[str],
        distances: Sequence[float],
        channels: int = 64,
        groups: Sequence[Sequence[str]] | None = None,
        heading: str = "angle",
        velocity: bool = False,
        flips: Sequence[str] = (),
        iou_power: float = 0.0,
        second_stage: str | None = None,
        min_radius: int = 2,
        regression_weight: float = 0.25,
        velocity_weight: float = 0.2,
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
        check_flips(flips, self.backbone.grid)
        if not 0 <= iou_power < 1:
            raise ValueError(f"model.iou_power must be in [0, 1), got {iou_power}")
        if heading not in HEADING_CODES:
            raise ValueError(f"model.heading must be one of {', '.join(HEADING_CODES)}, got {heading!r}")
        members = group_labels(classes, groups)
        self.heading = HEADING_CODES[heading]
        outputs = num_channels(self.heading, velocity)
        self.head = CenterHead(self.backbone.out_channels, members, outputs, channels, iou_power > 0)
        self.second_stage: SecondStage | None = None
        if second_stage is not None:
            for part in (self.backbone, self.head):
                part.requires_grad_(False)
            self.second_stage = SecondStage(self.backbone.out_channels, HIDDEN * channels, second_stage)
        self.num_groups = len(members)
        self.flips = tuple(flips)
        self.iou_power = iou_power
        of_label = {label: group for group, own in enumerate(members) for label in own}
        self.register_buffer("groups", torch.tensor([of_label[label] for label in sorted(of_label)]), persistent=False)
        self.velocity = velocity
        self.velocity_weight = velocity_weight
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
        velocities: list[Tensor] | None = None,
        mode: str = "tensor",
    ) -> CenterMaps | dict[str, Tensor] | list[Detections]:
        """
        Args:
            points: N of ``(points, columns)``.
            boxes, labels: for ``mode='loss'``, see :func:`.center_targets`.
            heading_weights: per sweep ``(M_i,)``, of pseudo-boxes, whose front and back are not known, see
                :meth:`.HeadingCode.loss`.
            velocities: per sweep ``(M_i, 2)``, see :func:`.center_targets`; None if none is known.
            mode: "tensor" for the head's maps, "loss", or "predict".
        """
        if mode == "predict":
            return self.detections(points)
        features = self.backbone(points)
        maps = self.head(features)
        if mode == "tensor":
            return maps
        assert boxes is not None
        assert labels is not None
        if self.second_stage is None:
            return self.loss(maps, boxes, labels, heading_weights, velocities)
        with torch.no_grad():
            found = self._decoded(maps._replace(logits=maps.logits.sigmoid()), suppressed=False)
        return self.second_stage.loss(features, found, boxes, labels, self.backbone.grid, heading_weights)

    def train(self, mode: bool = True) -> "CenterPoint":
        """Training or testing; a frozen first stage keeps its BN statistics."""
        super().train(mode)
        if self.second_stage is not None:
            self.backbone.eval()
            self.head.eval()
        return self

    def loss(
        self,
        maps: CenterMaps,
        boxes: list[Tensor],
        labels: list[Tensor],
        heading_weights: list[Tensor] | None = None,
        velocities: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Of the first stage: ``loss_heatmap`` and ``loss_boxes``, and ``loss_iou`` where it is predicted."""
        grid, stride = self.backbone.grid, self.backbone.stride
        if not self.velocity:
            velocities = None
        elif velocities is None:
            velocities = [own.new_full((len(own), 2), torch.nan) for own in boxes]
        targets = center_targets(
            boxes, labels, grid, stride, len(self.classes), self.min_radius, self.groups, velocities, self.heading
        )
        weights = None if heading_weights is None else torch.cat(heading_weights)
        rows, columns = maps.logits.shape[2:]
        regression = maps.regression.reshape(-1, targets.regression.shape[1], rows, columns)
        of_boxes = box_loss(
            regression,
            targets.cells,
            targets.regression,
            targets.counted,
            weights,
            self.velocity_weight if self.velocity else 1.0,
            self.heading,
        )
        losses = dict(
            loss_heatmap=gaussian_focal_loss(maps.logits, targets.heatmaps),
            loss_boxes=self.regression_weight * of_boxes,
        )
        if maps.ious is not None:
            ious = maps.ious.reshape(-1, 1, rows, columns)
            losses["loss_iou"] = iou_loss(ious, regression, targets, torch.cat(boxes), grid, stride, self.heading)
        return losses

    @torch.no_grad()
    def detections(self, points: list[Tensor]) -> list[Detections]:
        """The detections of each sweep, most confident first, as arrays."""
        features: list[Tensor] = []  # of each mirror image

        def probabilities(sweeps: list[Tensor]) -> CenterMaps:
            features.append(self.backbone(sweeps))
            maps = self.head(features[-1])
            return maps._replace(logits=maps.logits.sigmoid())

        found = self._decoded(averaged(probabilities, points, self.flips, self.num_groups, self.heading))
        if self.second_stage is not None:
            grid = self.backbone.grid
            found = self.second_stage.rescored(found, features, choices(self.flips), grid, self.min_score)
        boxes, scores, labels, kept = (values.cpu().numpy() for values in found[:4])
        velocities = None if found.velocities is None else found.velocities.cpu().numpy()
        return [
            Detections(
                boxes[i, own],
                scores[i, own],
                labels[i, own],
                velocities=None if velocities is None else velocities[i, own],
            )
            for i, own in enumerate(kept)
        ]

    def _decoded(self, maps: CenterMaps, suppressed: bool = True) -> Decoded:
        return decode(
            maps.logits,
            maps.regression,
            self.backbone.grid,
            self.backbone.stride,
            self.distances if suppressed else None,
            self.min_score,
            self.top,
            self.groups,
            self.num_groups,
            maps.ious,
            self.iou_power,
            self.heading,
        )


def group_labels(classes: Sequence[str], groups: Sequence[Sequence[str]] | None) -> list[list[int]]:
    """The labels of the classes in each group; one group of all where ``groups`` is None.

    Raises:
        ValueError: a class is in no group or in two, or a group names another class.
    """
    if groups is None:
        return [list(range(len(classes)))]
    named = [name for group in groups for name in group]
    if sorted(named) != sorted(classes):
        raise ValueError(
            f"model.groups must name each of the classes {', '.join(classes)} once, got {', '.join(named)}: "
            "set both, or groups=None"
        )
    return [[list(classes).index(name) for name in group] for group in groups]
