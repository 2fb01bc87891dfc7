"""IoU-aware scores: class confidence and the predicted IoU of the box (Hu et al., AFDetV2, AAAI 2022)."""

from torch import Tensor

from ccrop.projects.lidar_bev.detection.box_loss import at_cells
from ccrop.projects.lidar_bev.detection.headings import HeadingCode
from ccrop.projects.lidar_bev.detection.targets import ANGLE, CenterTargets, decoded
from ccrop.projects.lidar_bev.evaluation.polygons import paired_ious_3d
from ccrop.projects.lidar_bev.grid import Grid


def iou_loss(
    ious: Tensor,
    regression: Tensor,
    targets: CenterTargets,
    boxes: Tensor,
    grid: Grid,
    stride: int,
    heading: HeadingCode = ANGLE,
) -> Tensor:
    """Mean over centers of the absolute difference of the map's value and 2 * IoU - 1 of the predicted box.

    Args:
        ious: ``(N, 1, H, W)``, N sweeps times groups of classes.
        regression: ``(N, D, H, W)``; detached, so the boxes get no gradient from this loss.
        boxes: ``(M, 7)``, the objects.
        heading: encoding of the headings.
    """
    area = ious.shape[2] * ious.shape[3]
    values = at_cells(regression, targets.cells).detach().float()
    found = decoded(targets.cells % area, values, grid, stride, heading)
    wanted = 2 * paired_ious_3d(found, boxes).to(ious) - 1
    difference = (at_cells(ious, targets.cells)[:, 0] - wanted).abs()
    return (difference * targets.counted).sum() / targets.counted.sum().clamp(min=1)


def rescored(scores: Tensor, ious: Tensor, power: float) -> Tensor:
    """Class scores to the power of ``1 - power``, times IoUs to the power of ``power``.

    Args:
        scores: in [0, 1].
        ious: the map's values of the same shape, 2 * IoU - 1.
    """
    return scores ** (1 - power) * ((ious + 1) / 2).clamp(0, 1) ** power
