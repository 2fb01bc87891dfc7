"""One box around everything that stands out: the localizer of ContrastiveCrop."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ccrop.localization.feature_heatmap import feature_heatmap
from ccrop.localization.letterbox import boxes_in_image


class SingleObject:
    """B = L(1[M > k]): the tight rectangle of the upsampled heatmap above a threshold.

    ContrastiveCrop (Peng et al., CVPR 2022), equation 3. The heatmap is upsampled bilinearly
    (``align_corners=False``) to ``image_size``; a box is (first column / width, first row / height,
    last column / width, last row / height) of the pixels above ``threshold``, bit for bit
    what ``F.interpolate`` and ``nonzero`` give one image at a time.

    Args:
        threshold: k in [0, 1); the published code uses 0.10.
    """

    max_boxes = 1
    uses_features = True
    levels = (-1,)

    def __init__(self, threshold: float = 0.1) -> None:
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold must be in [0, 1), got {threshold}")
        self.threshold = threshold

    @torch.no_grad()
    def __call__(
        self, features: Tensor | Sequence[Tensor], image_size: tuple[int, int], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Boxes of a batch, without a loop over images and without a host-device synchronization.

        Args:
            features: ``(N, C, h, w)``, or a tuple of levels, of which the last (coarsest) is used.
            image_size: evaluation size (height, width) in pixels.
            valid: ``(N, 4)`` x0, y0, x1, y1 of the image in fractions of a padded canvas; boxes are in fractions of
                the image.

        Returns:
            ``boxes (N, 1, 5)`` float32: x0, y0, x1, y1 in fractions of the image, and a score: 1, or 0
            if the map has no signal (a collapsed model) and the box is the whole image; ``counts (N,)``, all 1.
        """
        heatmap = self.heatmap(features, valid)
        if heatmap.is_cpu:
            columns, rows = _peaks_around(self.threshold, heatmap, image_size)
        else:
            columns, rows = _peaks(heatmap, image_size)
        x0, x1 = _extent(columns > self.threshold)
        y0, y1 = _extent(rows > self.threshold)
        signal = torch.isfinite(x0)
        corners = [*(low.where(signal, 0.0) for low in (x0, y0)), *(high.where(signal, 1.0) for high in (x1, y1))]
        boxes = torch.stack([*corners, signal.to(x0.dtype)], dim=-1)
        boxes = boxes_in_image(boxes[:, None], valid)
        return boxes, torch.ones(len(boxes), dtype=torch.long, device=boxes.device)

    def heatmap(self, features: Tensor | Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``(N, h, w)`` in [0, 1]: where the boxes come from, before upsampling; arguments as of the call."""
        return feature_heatmap(features if isinstance(features, Tensor) else features[-1], valid)


def _extent(above: Tensor) -> tuple[Tensor, Tensor]:
    """First and last index of the true values of ``(length, N)``, over length; infinite if there is none."""
    index = torch.arange(len(above), dtype=torch.float32, device=above.device)[:, None] / len(above)
    return index.where(above, math.inf).amin(dim=0), index.where(above, -math.inf).amax(dim=0)


def _peaks(heatmap: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Largest value of each column ``(width, N)`` and each row ``(height, N)`` of the upsampled map."""
    upsampled = F.interpolate(heatmap[:, None], image_size, mode="bilinear", align_corners=False)[:, 0]
    return upsampled.amax(dim=1).T, upsampled.amax(dim=2).T


def _peaks_around(threshold: float, heatmap: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """:func:`_peaks`, cheap enough for a CPU: exact to rounding, and always on the right side of the threshold.

    Between two source rows a bilinear map is linear along a column, so a column's maximum is on an output
    row next to a source row: ``2 h`` rows at most instead of ``height``. The few images with a peak so near to
    the threshold that rounding decides get :func:`_peaks`.
    """
    maps = heatmap.permute(1, 2, 0).contiguous()
    columns, rows = _column_peaks(maps, *image_size), _column_peaks(maps.transpose(0, 1), *image_size[::-1])
    rounding = 8 * max(heatmap.shape[1:]) * torch.finfo(torch.float32).eps
    doubtful = (torch.cat([columns, rows]) - threshold).abs().amin(dim=0) < rounding
    if doubtful.any():
        columns[:, doubtful], rows[:, doubtful] = _peaks(heatmap[doubtful], image_size)
    return columns, rows


def _column_peaks(maps: Tensor, height: int, width: int) -> Tensor:
    """``(h, w, N)`` to ``(width, N)``: the columns' maxima over the output rows next to a source row."""
    center = (torch.arange(len(maps)) + 0.5) * height / len(maps) - 0.5
    near = torch.cat([center.floor(), center.ceil()]).clamp(0, height - 1).unique()
    rows = _interpolated(maps, height, near)
    return _interpolated(rows.transpose(0, 1), width, torch.arange(width)).amax(dim=1)


def _interpolated(maps: Tensor, length: int, index: Tensor) -> Tensor:
    """Those entries of maps ``(l, ...)`` linearly interpolated to ``length`` along their first axis."""
    coordinate = ((index + 0.5) * (len(maps) / length) - 0.5).clamp(0, len(maps) - 1)
    low = coordinate.long()
    high = (low + 1).clamp(max=len(maps) - 1)
    return maps.index_select(0, low).lerp_(maps.index_select(0, high), (coordinate - low)[:, None, None])
