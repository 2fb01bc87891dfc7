"""From a CenterPoint head's maps to boxes: the most confident peaks, with no two of a class too close to each other."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ccrop.projects.lidar_bev.detection.headings import HeadingCode
from ccrop.projects.lidar_bev.detection.iou_rescoring import rescored
from ccrop.projects.lidar_bev.detection.targets import ANGLE, VELOCITY, decoded, num_channels
from ccrop.projects.lidar_bev.grid import Grid


class Decoded(NamedTuple):
    """Decoded boxes of a batch, K per sweep, most confident first.

    Attributes:
        boxes: ``(N, K, 7)``.
        scores: ``(N, K)`` in [0, 1].
        labels: ``(N, K)`` int64.
        kept: ``(N, K)`` bool: the detections; the others are suppressed or padding.
        velocities: ``(N, K, 2)`` in meters per second; None if the head has none.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    kept: Tensor
    velocities: Tensor | None


def decode(
    heatmaps: Tensor,
    regression: Tensor,
    grid: Grid,
    stride: int,
    distances: Sequence[float] | None,
    min_score: float = 0.0,
    top: int = 200,
    groups: Tensor | None = None,
    num_groups: int = 1,
    ious: Tensor | None = None,
    iou_power: float = 0.0,
    heading: HeadingCode = ANGLE,
) -> Decoded:
    """The most confident peaks of all classes, as boxes.

    Args:
        heatmaps: ``(N, classes, H, W)`` in [0, 1].
        regression: ``(N, groups * D, H, W)``, see :mod:`.targets`.
        grid: of the encoder.
        stride: of its map.
        distances: per class, how close in meters a center must be to a more confident one to be suppressed. None: no
            detection is suppressed, and nothing is transferred to the host.
        min_score: peaks with a lower score are dropped.
        top: peaks per sweep, over all classes, before suppression (CenterNet's K).
        groups: ``(classes,)`` int64, the group of each class; None: one group.
        num_groups: their number.
        ious: ``(N, groups, H, W)``, see :class:`.CenterMaps`; peaks are also scored by them, see :func:`.rescored`.
        iou_power: exponent of the IoU in these scores.
        heading: encoding of the headings.
    """
    area = heatmaps.shape[2] * heatmaps.shape[3]
    scores, index = peaks(heatmaps).flatten(1).topk(min(top, heatmaps[0].numel()), dim=1)
    labels, cells = index // area, index % area
    group = torch.zeros_like(labels) if groups is None else groups[labels]
    sweep = torch.arange(len(regression), device=regression.device)[:, None]
    values = regression.reshape(len(regression), num_groups, -1, area)[sweep, group, :, cells]
    if ious is not None:
        scores, order = rescored(scores, ious.flatten(2)[sweep, group, cells], iou_power).sort(dim=1, descending=True)
        labels, cells, values = labels.gather(1, order), cells.gather(1, order), values[sweep, order]
    boxes = decoded(cells, values, grid, stride, heading)
    kept = (scores > 0) & (scores >= min_score)
    if distances is not None:
        kept &= unsuppressed(boxes[..., :2], labels, kept, boxes.new_tensor(distances))
    velocities = values[..., VELOCITY] if values.shape[-1] > num_channels(heading) else None
    return Decoded(boxes, scores, labels, kept, velocities)


def peaks(heatmaps: Tensor) -> Tensor:
    """Heatmaps ``(N, C, H, W)`` in [0, 1] with 0 in all cells that are lower than one of their eight neighbors."""
    return heatmaps.where(F.max_pool2d(heatmaps, 3, stride=1, padding=1) == heatmaps, 0)


def unsuppressed(centers: Tensor, labels: Tensor, present: Tensor, distances: Tensor) -> Tensor:
    """Which detections survive suppression by center distance: no more confident survivor of their class is near.

    Equal to visiting the detections one by one. Here, all are updated at once by which of the more confident ones
    survived the previous round, until nothing changes: as many rounds as the longest chain of suppressions has links.

    Args:
        centers: ``(N, K, 2)`` in meters, most confident first.
        labels: ``(N, K)`` int64.
        present: ``(N, K)`` bool; others neither survive nor suppress.
        distances: ``(classes,)`` in meters.

    Returns:
        ``(N, K)`` bool.
    """
    near = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist") <= distances[labels][..., None]
    conflicts = near & (labels[:, :, None] == labels[:, None]) & present[:, :, None]
    conflicts = conflicts.triu(diagonal=1)  # rows: more confident ones; columns: others
    kept = present
    while True:
        after = present & ~(conflicts & kept[:, :, None]).any(dim=1)
        if torch.equal(after, kept):
            return kept
        kept = after
