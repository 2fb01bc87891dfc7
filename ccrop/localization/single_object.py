"""One box around everything that stands out: the localizer of ContrastiveCrop."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ccrop.localization.heatmap import feature_heatmap


class SingleObject:
    """B = L(1[M > k]): the tight rectangle of the upsampled heatmap above a threshold.

    ContrastiveCrop (Peng et al., CVPR 2022), equation 3. The heatmap is upsampled bilinearly
    (``align_corners=False``) to ``image_size``; a box is (first column / width, first row / height,
    last column / width, last row / height) of the pixels above ``threshold``.

    Args:
        threshold: k in [0, 1); the published code uses 0.10.
    """

    max_boxes = 1
    uses_features = True

    def __init__(self, threshold: float = 0.1) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must lie in [0, 1), got {threshold}")
        self.threshold = threshold

    def __call__(self, features: Tensor | Sequence[Tensor], image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Boxes of a batch, without a loop over images and without a host-device synchronisation.

        Args:
            features: ``(N, C, h, w)``, or a tuple of levels, of which the last (coarsest) is used.
            image_size: evaluation size (height, width) in pixels.

        Returns:
            ``boxes (N, 1, 5)`` float32: x0, y0, x1, y1 in fractions of the image, and a score: 1, or 0 where
            the map has no signal (a collapsed model) and the box is the whole image; ``counts (N,)``, all 1.
        """
        heatmap = feature_heatmap(features if isinstance(features, Tensor) else features[-1])
        height, width = image_size
        with torch.autocast(heatmap.device.type, enabled=False):
            x0, x1, found = _extent_above(heatmap, width, height, self.threshold)
            y0, y1, _ = _extent_above(heatmap.mT, height, width, self.threshold)
        boxes = torch.stack([x0 / width, y0 / height, x1 / width, y1 / height, torch.ones_like(x0)], dim=-1)
        whole = boxes.new_tensor([0.0, 0.0, 1.0, 1.0, 0.0])
        boxes = torch.where(found[:, None], boxes, whole)
        return boxes[:, None], torch.ones(len(boxes), dtype=torch.long, device=boxes.device)


def _extent_above(heatmap: Tensor, width: int, height: int, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """First and last column of the bilinearly upsampled map that hold a value above the threshold.

    Between two source rows a bilinear map is linear along a column, so a column's maximum lies on an
    output row next to a source row: only those rows are computed, ``2 h`` at most instead of ``height``.

    Args:
        heatmap: ``(N, h, w)``.
        width, height: the upsampled size in pixels.

    Returns:
        first ``(N,)`` and last ``(N,)`` column as float32, and whether there is any ``(N,)``.
    """
    rows = _interpolation(heatmap.shape[1], height, True, heatmap.device)
    columns = _interpolation(heatmap.shape[2], width, False, heatmap.device)
    peaks = (rows @ heatmap @ columns.T).amax(dim=1)
    above = peaks > threshold
    index = torch.arange(width, dtype=torch.float32, device=heatmap.device)
    first = index.where(above, math.inf).amin(dim=1)
    last = index.where(above, -math.inf).amax(dim=1)
    return first, last, above.any(dim=1)


@lru_cache(maxsize=32)
def _interpolation(source: int, target: int, only_next_to_sources: bool, device: torch.device) -> Tensor:
    """Weights ``(rows, source)`` of 1D linear interpolation with half-pixel centers, edges repeated."""
    position = torch.arange(target)
    if only_next_to_sources:
        center = (torch.arange(source) + 0.5) * target / source - 0.5
        position = torch.cat([center.floor(), center.ceil()]).clamp(0, target - 1).unique()
    coordinate = ((position + 0.5) * (source / target) - 0.5).clamp(0, source - 1)
    distance = (coordinate[:, None] - torch.arange(source)).abs()
    return (1 - distance).clamp(min=0).to(device)
