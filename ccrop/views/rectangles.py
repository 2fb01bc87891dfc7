"""Areas and overlaps of boxes ``(..., 4)`` x0, y0, x1, y1, of any unit and any leading shapes that broadcast."""

import torch
from torch import Tensor


def area(boxes: Tensor) -> Tensor:
    """``(...)``; 0 for an inverted box."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Area that two boxes share, ``(...)``."""
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    return (high - low).clamp(min=0).prod(dim=-1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union, ``(...)``; NaN for two boxes without area."""
    shared = intersection(first, second)
    return shared / (area(first) + area(second) - shared)
