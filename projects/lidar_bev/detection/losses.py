"""The losses of a CenterPoint head, on whole batches, without a transfer to the host."""

import torch
from torch import Tensor
from torch.nn import functional as F


def gaussian_focal_loss(logits: Tensor, heatmaps: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """Focal loss of center heatmaps, per center.

    CornerNet (Law & Deng, ECCV 2018, equation 1): -(1 - p)^alpha log p where the heatmap y is 1, and
    -(1 - y)^beta p^alpha log(1 - p) elsewhere, summed and divided by the number of cells where y is 1, or 1.

    Args:
        logits: ``(N, C, H, W)`` of p.
        heatmaps: the same, see :func:`ccrop.localization.gaussian.center_heatmaps`.
    """
    p = logits.sigmoid()
    is_center = heatmaps == 1
    of_centers = (1 - p) ** alpha * F.logsigmoid(logits)
    of_others = (1 - heatmaps) ** beta * p**alpha * F.logsigmoid(-logits)
    return -torch.where(is_center, of_centers, of_others).sum() / is_center.sum().clamp(min=1)


def center_l1_loss(maps: Tensor, cells: Tensor, regression: Tensor, counted: Tensor) -> Tensor:
    """Mean over centers of the absolute differences in their cells, summed over channels.

    Args:
        maps: ``(N, D, H, W)``.
        cells, counted: ``(M,)``, see :class:`.CenterTargets`; centers that do not count are left out.
        regression: ``(M, D)``.
    """
    difference = at_cells(maps, cells) - regression
    return (difference.abs() * counted[:, None]).sum() / counted.sum().clamp(min=1)


def at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """Values ``(M, D)`` of maps ``(N, D, H, W)`` in cells ``(M,)`` counted through maps, rows and columns."""
    area = maps.shape[2] * maps.shape[3]
    return maps.flatten(2)[cells // area, :, cells % area]
