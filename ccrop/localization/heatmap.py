"""Where a backbone responds: feature map -> heatmap in [0, 1]."""

import torch
from torch import Tensor


def feature_heatmap(features: Tensor) -> Tensor:
    """Sum a feature map over its channels and min-max normalise it per image.

    The heatmap M of ContrastiveCrop (Peng et al., CVPR 2022, section 3.2).

    Args:
        features: ``(N, C, H, W)``, any floating dtype.

    Returns:
        ``(N, H, W)`` float32 in [0, 1]. A constant or non-finite map carries no signal and is all zero.
    """
    total = features.sum(dim=1, dtype=torch.float32)
    low = total.amin(dim=(1, 2), keepdim=True)
    span = total.amax(dim=(1, 2), keepdim=True) - low
    has_signal = torch.isfinite(span) & (span > 0)
    return torch.where(has_signal, (total - low) / span.where(has_signal, 1.0), 0.0)
