"""The focal loss of center heatmaps: of clusters in pretraining, and of CenterPoint's classes in fine-tuning."""

import torch
from torch import Tensor
from torch.nn import functional as F

PRIOR = (
    -2.19
)  # initial bias of a heatmap's logits; its sigmoid is 0.1, so that the many empty cells weigh little at first


def gaussian_focal_loss(logits: Tensor, heatmaps: Tensor, alpha: float = 2.0, beta: float = 4.0) -> Tensor:
    """Focal loss of center heatmaps, per center.

    CornerNet (Law & Deng, ECCV 2018, equation 1): -(1 - p)^alpha log p where the heatmap y is 1, and
    -(1 - y)^beta p^alpha log(1 - p) elsewhere, summed and divided by the number of cells where y is 1, or 1.

    Args:
        logits: ``(N, C, H, W)`` of p.
        heatmaps: the same, see :func:`ccrop.localization.gaussian_heatmaps.center_heatmaps`.
    """
    p = logits.sigmoid()
    is_center = heatmaps == 1
    of_centers = (1 - p) ** alpha * F.logsigmoid(logits)
    of_others = (1 - heatmaps) ** beta * p**alpha * F.logsigmoid(-logits)
    return -torch.where(is_center, of_centers, of_others).sum() / is_center.sum().clamp(min=1)
