"""CenterPoint's second stage: the confidence and the box of each detection anew (Yin et al., CVPR 2021, section 4.2).

A box is described by the encoder's map at five points, and perceptrons learn from these how confident the detector
should be and how the box differs from the object. The first stage is finished and frozen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from ccrop.projects.lidar_bev.detection.decoding import Decoded
from ccrop.projects.lidar_bev.detection.targets import SMALLEST_SIDE
from ccrop.projects.lidar_bev.detection.tta import mirrored_boxes
from ccrop.projects.lidar_bev.evaluation.polygons import paired_ious_3d
from ccrop.projects.lidar_bev.grid import Grid

CONFIDENCES = ("iou", "distance")
POINTS = 5  # of a box
MIN_IOU = 0.55  # of boxes that are refined in training, above it
WITHIN = 1.0  # meters, of right detections if the confidence is learned by distance
DRAWN = 128  # boxes of a sweep that are learned from, at most half of them right


class SecondStage(nn.Module):
    """Two hidden layers, and linear layers for the confidence and the refinement of a box, whatever its class.

    Args:
        in_channels: of the encoder's map.
        channels: of the hidden layers.
        confidence: what it is learned from, see :func:`matched`.

    Raises:
        ValueError: an unknown ``confidence``.
    """

    def __init__(self, in_channels: int, channels: int, confidence: str) -> None:
        super().__init__()
        if confidence not in CONFIDENCES:
            raise ValueError(f"model.second_stage must be one of {', '.join(CONFIDENCES)}, got {confidence!r}")
        self.learned_from = confidence
        self.hidden = nn.Sequential(*_layer(POINTS * in_channels, channels), *_layer(channels, channels))
        self.confidence = nn.Linear(channels, 1)
        self.refinement = nn.Linear(channels, 7)
        for values in self.refinement.parameters():
            nn.init.zeros_(values)  # boxes stay as they are at first

    def forward(self, maps: Tensor, boxes: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """Logits of the confidences ``(N, K)`` and refinements ``(N, K, 7)``, see :func:`refinements`, in float32.

        Args:
            maps: ``(N, in_channels, H, W)`` of the encoder.
            boxes: ``(N, K, 7)``.
            grid: of the encoder.
        """
        hidden = self.hidden(sampled(maps, box_points(boxes), grid).flatten(2))
        return self.confidence(hidden)[..., 0].float(), self.refinement(hidden).float()

    def loss(
        self,
        maps: Tensor,
        found: Decoded,
        boxes: list[Tensor],
        labels: list[Tensor],
        grid: Grid,
        heading_weights: list[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """``loss_confidence``, binary cross-entropy, and ``loss_refinement``, L1, means over the drawn boxes.

        Nothing is transferred to the host.

        Args:
            maps: ``(N, in_channels, H, W)`` of the encoder.
            found: the first stage's boxes, of which the kept ones count.
            boxes, labels: the objects, see :func:`matched`.
            grid: of the encoder.
            heading_weights: per sweep ``(M_i,)``, of boxes whose front and back are not known: factors of the
                heading's difference.
        """
        matches = matched(found, boxes, labels, self.learned_from)
        right, others = drawn(matches.right & found.kept, found.kept & ~matches.right)
        logits, values = self(maps, found.boxes, grid)
        of_confidence = F.binary_cross_entropy_with_logits(logits, matches.confidence, reduction="none")
        difference = (values - refinements(found.boxes, matches.objects)).abs()
        if heading_weights is not None:
            weights = pad_sequence(heading_weights, batch_first=True).gather(1, matches.nearest)
            difference = torch.cat([difference[..., :-1], difference[..., -1:] * weights[..., None]], dim=-1)
        return dict(
            loss_confidence=_mean(of_confidence, right | others),
            loss_refinement=_mean(difference.sum(dim=-1), right),
        )

    def rescored(
        self, found: Decoded, maps: Sequence[Tensor], mirrored: Sequence[Sequence[str]], grid: Grid, min_score: float
    ) -> Decoded:
        """The detections with refined boxes, most confident first; a score is :func:`joint_score`.

        Args:
            found: of the first stage.
            maps: ``(N, in_channels, H, W)`` each, of the encoder, of the sweeps and their mirror images, over which
                confidences and refinements are averaged.
            mirrored: the axes of each of these mirror images, see :mod:`.tta`.
            grid: of the encoder.
            min_score: detections with a lower score are dropped.
        """
        confidences, values = [], []
        for own, axes in zip(maps, mirrored, strict=True):
            logits, refinement = self(own, mirrored_boxes(found.boxes, axes), grid)
            confidences.append(logits.sigmoid())
            turned = (-1) ** len(axes)  # left is right
            values.append(refinement * refinement.new_tensor((1, turned, 1, 1, 1, 1, turned)))
        boxes = refined(found.boxes, torch.stack(values).mean(dim=0))
        scores, order = joint_score(found.scores, torch.stack(confidences).mean(dim=0)).sort(dim=1, descending=True)
        velocities = None if found.velocities is None else found.velocities.take_along_dim(order[..., None], dim=1)
        return Decoded(
            boxes.take_along_dim(order[..., None], dim=1),
            scores,
            found.labels.gather(1, order),
            found.kept.gather(1, order) & (scores >= min_score),
            velocities,
        )


def joint_score(scores: Tensor, confidences: Tensor) -> Tensor:
    """The geometric mean of the two stages' scores ``(...)`` in [0, 1] (section 4.2)."""
    return (scores * confidences).sqrt()


def box_points(boxes: Tensor) -> Tensor:
    """Centers of boxes ``(..., 7)`` and of their front, back, left and right sides: x, y ``(..., 5, 2)`` in meters.

    Seen from above, the centers of the top and the bottom are the box's.
    """
    center, half = boxes[..., :2], boxes[..., 3:5] / 2
    cos, sin = boxes[..., 6].cos(), boxes[..., 6].sin()
    ahead = torch.stack([cos, sin], dim=-1) * half[..., :1]
    left = torch.stack([-sin, cos], dim=-1) * half[..., 1:]
    return torch.stack([center, center + ahead, center - ahead, center + left, center - left], dim=-2)


def sampled(maps: Tensor, points: Tensor, grid: Grid) -> Tensor:
    """Values ``(N, K, P, C)`` float32 of maps ``(N, C, H, W)`` at x, y ``(N, K, P, 2)`` in meters.

    Bilinear between the centers of cells; beyond the map all values are 0.
    """
    low, high = (points.new_tensor(each[:2]) for each in (grid.low, grid.high))
    places = 2 * (points - low) / (high - low) - 1
    return F.grid_sample(maps.float(), places, align_corners=False).permute(0, 2, 3, 1)


class Matches(NamedTuple):
    """Boxes and their objects.

    Attributes:
        nearest: ``(N, K)`` int64, the nearest object of the class, by its place in its sweep's list.
        objects: ``(N, K, 7)``, their boxes; the box itself if there is none of the class.
        confidence: ``(N, K)`` in [0, 1], what is to be predicted.
        right: ``(N, K)`` bool, whose refinement is learned.
    """

    nearest: Tensor
    objects: Tensor
    confidence: Tensor
    right: Tensor


def matched(found: Decoded, boxes: list[Tensor], labels: list[Tensor], confidence: str) -> Matches:
    """Match each box with the object of its class whose center is nearest.

    By "iou", the confidence is min(1, max(0, 2 * IoU - 0.5)) of the two volumes, and boxes whose IoU exceeds
    :data:`MIN_IOU` are right (section 4.2). By "distance", it is 1 for a box within :data:`WITHIN` meters of the
    object that is the nearest one to it, which is right, and 0 for others.

    Args:
        found: the first stage's boxes, K per sweep; those that are not kept do not count.
        boxes: per sweep ``(M_i, 7)``.
        labels: per sweep ``(M_i,)`` int64; negative ones are not classes of the detector and match nothing.
        confidence: one of :data:`CONFIDENCES`.
    """
    # one more that matches nothing, so that no sweep is without an object
    nothing = boxes[0].new_zeros(1, 7)
    objects = pad_sequence([torch.cat([own, nothing]) for own in boxes], batch_first=True)
    of_objects = pad_sequence([F.pad(own, (0, 1), value=-1) for own in labels], batch_first=True, padding_value=-1)
    distances = torch.cdist(found.boxes[..., :2], objects[..., :2], compute_mode="donot_use_mm_for_euclid_dist")
    same = (found.labels[..., None] == of_objects[:, None]) & found.kept[..., None]
    distances = distances.masked_fill(~same, torch.inf)
    distance, index = distances.min(dim=2)
    exists = distance.isfinite()
    partners = objects.take_along_dim(index[..., None], dim=1).where(exists[..., None], found.boxes)
    if confidence == "iou":
        ious = paired_ious_3d(found.boxes.flatten(0, 1), partners.flatten(0, 1)).view_as(distance).to(distance)
        ious = ious.where(exists, 0)
        return Matches(index, partners, (2 * ious - 0.5).clamp(0, 1), ious > MIN_IOU)
    nearest = distances.argmin(dim=1).gather(1, index) == torch.arange(distance.shape[1], device=index.device)
    right = exists & nearest & (distance <= WITHIN)
    return Matches(index, partners, right.to(distance), right)


def drawn(right: Tensor, others: Tensor, number: int = DRAWN) -> tuple[Tensor, Tensor]:
    """Which boxes are learned from: at random half of the number right ones, and others that fill it.

    Args:
        right, others: ``(N, K)`` bool each.
        number: per sweep.

    Returns:
        The drawn ones of each, ``(N, K)`` bool.
    """
    order = torch.rand(right.shape, device=right.device)
    right = right & (_ranks(order.where(right, 1)) < number // 2)
    left = number - right.sum(dim=1, keepdim=True)
    return right, others & (_ranks(order.where(others, 1)) < left)


def refinements(boxes: Tensor, objects: Tensor) -> Tensor:
    """How boxes ``(..., 7)`` differ from objects ``(..., 7)``, in the boxes' own frames: ``(..., 7)``.

    Meters ahead, to the left and upwards, the logarithms of the factors of length, width and height, and the radians in
    [-pi / 2, pi / 2) to the object's axis: the second stage turns no box end for end.
    """
    cos, sin = boxes[..., 6].cos(), boxes[..., 6].sin()
    x, y, z = (objects - boxes)[..., :3].unbind(dim=-1)
    factors = objects[..., 3:6].clamp(min=SMALLEST_SIDE) / boxes[..., 3:6].clamp(min=SMALLEST_SIDE)
    turn = (objects[..., 6] - boxes[..., 6] + torch.pi / 2).remainder(torch.pi) - torch.pi / 2
    moved = torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1)
    return torch.cat([moved, factors.log(), turn[..., None]], dim=-1)


def refined(boxes: Tensor, values: Tensor) -> Tensor:
    """Boxes ``(..., 7)`` after refinements ``(..., 7)``, the inverse of :func:`refinements`; headings in [-pi, pi)."""
    cos, sin = boxes[..., 6].cos(), boxes[..., 6].sin()
    ahead, left, up = values[..., :3].unbind(dim=-1)
    moved = boxes[..., :3] + torch.stack([cos * ahead - sin * left, sin * ahead + cos * left, up], dim=-1)
    heading = (boxes[..., 6] + values[..., 6] + torch.pi).remainder(2 * torch.pi) - torch.pi
    return torch.cat([moved, boxes[..., 3:6] * values[..., 3:6].exp(), heading[..., None]], dim=-1)


def _layer(in_channels: int, channels: int) -> tuple[nn.Module, ...]:
    return nn.Linear(in_channels, channels), nn.LayerNorm(channels), nn.ReLU(inplace=True)


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _ranks(values: Tensor) -> Tensor:
    """The place of each of ``(N, K)`` in ascending order."""
    return values.argsort(dim=1).argsort(dim=1)
