"""The loss of a CenterPoint head's boxes, on whole batches, without a transfer to the host."""

import torch
from torch import Tensor

from ccrop.projects.lidar_bev.detection.targets import VELOCITY


def center_l1_loss(
    maps: Tensor,
    cells: Tensor,
    regression: Tensor,
    counted: Tensor,
    axis_weights: Tensor | None = None,
    velocity_weight: float = 1.0,
) -> Tensor:
    """Mean over centers of the absolute differences in their cells, summed over channels.

    Args:
        maps: ``(N, D, H, W)``, the last two channels sine and cosine of the heading.
        cells, counted: ``(M,)``, see :class:`.CenterTargets`; centers that do not count are left out.
        regression: ``(M, D)``; NaN if a value is not known and does not count.
        axis_weights: ``(M,)``, of boxes whose front and back are not known: the heading difference is taken
            to the nearer end of the axis, times the weight. None where headings are known.
        velocity_weight: of the channels of :data:`.VELOCITY`.
    """
    values = at_cells(maps, cells)
    regression = regression.where(regression.isfinite(), values.detach())
    difference = (values - regression).abs()
    if velocity_weight != 1:
        weights = torch.ones_like(difference)
        weights[:, VELOCITY] = velocity_weight
        difference = difference * weights
    if axis_weights is not None:
        to_back = (values + regression).abs()[:, -2:].sum(dim=1)
        heading = difference[:, -2:].sum(dim=1).minimum(to_back)
        difference = torch.cat([difference[:, :-2], (axis_weights * heading)[:, None]], dim=1)
    return (difference * counted[:, None]).sum() / counted.sum().clamp(min=1)


def at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Values ``(M, D)`` of maps ``(N, D, H, W)`` in cells ``(M,)`` counted through maps, rows and columns."""
    area = maps.shape[2] * maps.shape[3]
    return maps.flatten(2)[cells // area, :, cells % area]
