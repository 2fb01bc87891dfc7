"""The same box for every image: SimCCrop, the baseline without localization."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ccrop.localization.feature_heatmap import feature_heatmap


class FixedBox:
    """SimCCrop of ContrastiveCrop (Peng et al., CVPR 2022, section 4.3): objects are assumed to be in the center.

    Args:
        box: x0, y0, x1, y1 in fractions of the image.
    """

    max_boxes = 1
    uses_features = False
    levels = (-1,)

    def __init__(self, box: Sequence[float] = (0.25, 0.25, 0.75, 0.75)) -> None:
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
            raise ValueError(f"box must be x0, y0, x1, y1 with 0 <= x0 < x1 <= 1, likewise y; got {tuple(box)}")
        self.box = tuple(box)

    def __call__(
        self, features: Tensor | Sequence[Tensor], image_size: tuple[int, int], valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """``boxes (N, 1, 5)`` with score 1 and ``counts (N,)``; only the features' N and device matter."""
        features = features if isinstance(features, Tensor) else features[-1]
        boxes = features.new_tensor([*self.box, 1.0], dtype=torch.float32).expand(len(features), 1, 5)
        return boxes, torch.ones(len(features), dtype=torch.long, device=features.device)

    def heatmap(self, features: Tensor | Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``(N, h, w)`` in [0, 1]: where the backbone responds, for pictures; the box does not depend on it."""
        return feature_heatmap(features if isinstance(features, Tensor) else features[-1], valid)
