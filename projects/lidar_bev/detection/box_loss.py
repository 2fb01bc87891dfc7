"""The box loss of a CenterPoint head, on whole batches, without a transfer to the host."""

import torch
from torch import Tensor

from ccrop.projects.lidar_bev.detection.headings import HeadingCode
from ccrop.projects.lidar_bev.detection.targets import ANGLE, VELOCITY


def box_loss(
    maps: Tensor,
    cells: Tensor,
    regression: Tensor,
    counted: Tensor,
    axis_weights: Tensor | None = None,
    velocity_weight: float = 1.0,
    heading: HeadingCode = ANGLE,
) -> Tensor:
    """Mean over centers of the absolute differences in their cells, summed over channels, and of the headings' loss.

    Args:
        maps: ``(N, D, H, W)``, see :mod:`.targets`.
        cells, counted: ``(M,)``, see :class:`.CenterTargets`; centers that do not count are left out.
        regression: ``(M, D)``; NaN if a value is not known and does not count.
        axis_weights: ``(M,)``, of boxes whose front and back are not known, see :meth:`.HeadingCode.loss`.
        velocity_weight: of the channels of :data:`.VELOCITY`.
        heading: encoding of the headings.
    """
    values = at_cells(maps, cells)
    regression = regression.where(regression.isfinite(), values.detach())
    start = -heading.channels  # of its code
    difference = (values - regression)[:, :start].abs()
    if velocity_weight != 1:
        weights = torch.ones_like(difference)
        weights[:, VELOCITY] = velocity_weight
        difference = difference * weights
    of_boxes = difference.sum(dim=1) + heading.loss(values[:, start:], regression[:, start:], axis_weights)
    return (of_boxes * counted).sum() / counted.sum().clamp(min=1)


def at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Values ``(M, D)`` of maps ``(N, D, H, W)`` in cells ``(M,)`` counted through maps, rows and columns."""
    area = maps.shape[2] * maps.shape[3]
    return maps.flatten(2)[cells // area, :, cells % area]
