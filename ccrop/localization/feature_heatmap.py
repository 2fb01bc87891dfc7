"""Where a backbone responds: feature maps -> heatmap in [0, 1]."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ccrop.localization.letterbox import cells_inside

FUSIONS = ("geometric", "arithmetic")
RESPONSES = ("sum", "distance")


def feature_heatmap(features: Tensor, valid: Tensor | None = None, response: str = "sum") -> Tensor:
    """One number per cell, min-max normalized per image.

    Args:
        features: ``(N, C, H, W)``, any floating dtype.
        response: "sum" over the channels, the heatmap M of ContrastiveCrop (Peng et al., CVPR 2022, section 3.2), or
            "distance", the Euclidean one of a cell's features to their mean over the image: objects that respond
            less than their surroundings stand out, too.
        valid: ``(N, 4)`` x0, y0, x1, y1 of the image in fractions of a padded canvas. Padding is zero and does
            not count for the range.

    Returns:
        ``(N, H, W)`` float32 in [0, 1]. A constant or non-finite map carries no signal and is all zero.
    """
    if response == "sum":
        return _normalized(features.sum(dim=1, dtype=torch.float32), valid)
    if response != "distance":
        raise ValueError(f"response must be one of {', '.join(RESPONSES)}, got {response!r}")
    features = features.float()
    if valid is None:
        mean = features.mean(dim=(2, 3), keepdim=True)
    else:
        inside = cells_inside(valid, features.shape[2:])[:, None]
        mean = features.where(inside, 0).sum(dim=(2, 3), keepdim=True) / inside.sum(dim=(2, 3), keepdim=True).clamp(1)
    return _normalized((features - mean).norm(dim=1), valid)


def fused_heatmap(
    levels: Sequence[Tensor], fusion: str = "geometric", valid: Tensor | None = None, response: str = "sum"
) -> Tensor:
    """One heatmap of several levels: coarse levels say what, fine levels say where.

    The levels' heatmaps, upsampled to the finest, are averaged per cell, and the average is min-max normalized.
    A mean and not a product, so that a threshold means the same for one level and for several.

    Args:
        levels: ``(N, C_i, H_i, W_i)`` each, in any order.
        fusion: "geometric", where all levels must respond (a level without signal leaves none), or "arithmetic".
        valid, response: see :func:`feature_heatmap`.

    Returns:
        ``(N, H, W)`` float32 in [0, 1], of the size of the level with the most cells.
    """
    if fusion not in FUSIONS:
        raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")
    heatmaps = [feature_heatmap(level, valid, response) for level in levels]
    if len(heatmaps) == 1:
        return heatmaps[0]
    size = max(((heatmap.shape[1], heatmap.shape[2]) for heatmap in heatmaps), key=math.prod)
    stacked = torch.stack([upsampled(heatmap, size, valid) for heatmap in heatmaps])
    mean = stacked.mean(dim=0) if fusion == "arithmetic" else stacked.prod(dim=0).pow(1 / len(levels))
    return _normalized(mean, valid)


def upsampled(heatmap: Tensor, size: tuple[int, int], valid: Tensor | None = None) -> Tensor:
    """``(N, h, w)`` to ``(N, *size)``, bilinear with ``align_corners=False``; padding does not leak into the image."""
    if heatmap.shape[1:] == tuple(size):
        return heatmap
    large = F.interpolate(heatmap[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    if valid is None:
        return large
    inside = cells_inside(valid, heatmap.shape[1:]).to(heatmap)
    weight = F.interpolate(inside[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    known = cells_inside(valid, size) & (weight > 0)
    return torch.where(known, large / weight.where(known, 1.0), 0.0)


def _normalized(total: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        low, high = total.amin(dim=(1, 2), keepdim=True), total.amax(dim=(1, 2), keepdim=True)
    else:
        inside = cells_inside(valid, total.shape[1:])
        low = total.where(inside, math.inf).amin(dim=(1, 2), keepdim=True)
        high = total.where(inside, -math.inf).amax(dim=(1, 2), keepdim=True)
    span = high - low
    has_signal = torch.isfinite(span) & (span > 0)
    if valid is not None:
        has_signal = has_signal & inside
    return torch.where(has_signal, (total - low) / span.where(has_signal, 1.0), 0.0)
