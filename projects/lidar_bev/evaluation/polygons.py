"""Overlap of rotated boxes, by clipping polygons (Sutherland & Hodgman, 1974), for all pairs at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ccrop.projects.lidar_bev.boxes import CORNERS, footprints


def bev_intersections(boxes: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Areas ``(M, K)`` in square meters that boxes ``(M, 7)`` share with others ``(K, 7)`` seen from above."""
    reach, other_reach = (np.hypot(each[:, 3], each[:, 4]) / 2 for each in (boxes, others))
    distance = np.hypot(*np.moveaxis(boxes[:, None, :2] - others[:, :2], -1, 0))
    has_area, other_has_area = (np.all(each[:, 3:5] > 0, axis=1) for each in (boxes, others))
    near = distance < reach[:, None] + other_reach
    first, second = np.nonzero(near & has_area[:, None] & other_has_area)
    areas = np.zeros((len(boxes), len(others)))
    origin = boxes[first, None, :2].astype(np.float64)  # far from it, areas would lose digits
    own, other = footprints(boxes.astype(np.float64)), footprints(others.astype(np.float64))
    pairs = (torch.from_numpy(own[first] - origin), torch.from_numpy(other[second] - origin))
    areas[first, second] = convex_intersections(*pairs).numpy()
    return areas


def bev_ious(boxes: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Intersection over union ``(M, K)`` of boxes ``(M, 7)`` and ``(K, 7)`` from above."""
    shared = bev_intersections(boxes, others)
    return _over_union(shared, boxes[:, 3:5].prod(axis=1), others[:, 3:5].prod(axis=1))


def ious_3d(boxes: NDArray, others: NDArray) -> NDArray[np.float64]:
    """Intersection over union ``(M, K)`` of the volumes of boxes ``(M, 7)`` and ``(K, 7)``."""
    low, other_low = (each[:, 2] - each[:, 5] / 2 for each in (boxes, others))
    high, other_high = (each[:, 2] + each[:, 5] / 2 for each in (boxes, others))
    height = np.minimum(high[:, None], other_high) - np.maximum(low[:, None], other_low)
    shared = bev_intersections(boxes, others) * height.clip(min=0)
    return _over_union(shared, boxes[:, 3:6].prod(axis=1), others[:, 3:6].prod(axis=1))


def paired_ious_3d(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union ``(M,)`` float64 of the volumes of each of the boxes ``(M, 7)`` and the other ``(M, 7)``.

    On the device of the boxes, without a transfer to the host.
    """
    boxes, others = boxes.double(), others.double()
    origin = boxes[:, None, :2]
    areas = convex_intersections(_footprints(boxes) - origin, _footprints(others) - origin)
    low, other_low = (each[:, 2] - each[:, 5] / 2 for each in (boxes, others))
    high, other_high = (each[:, 2] + each[:, 5] / 2 for each in (boxes, others))
    shared = areas * (high.minimum(other_high) - low.maximum(other_low)).clamp(min=0)
    return shared / (boxes[:, 3:6].prod(dim=1) + others[:, 3:6].prod(dim=1) - shared).clamp(min=1e-9)


def convex_intersections(polygons: Tensor, others: Tensor) -> Tensor:
    """Areas ``(P,)`` that pairs of convex polygons share.

    Args:
        polygons: ``(P, V, 2)``, counter-clockwise.
        others: ``(P, W, 2)``, counter-clockwise.
    """
    for edge in range(others.shape[1]):
        start, end = others[:, edge], others[:, (edge + 1) % others.shape[1]]
        polygons = _left_of(polygons, start, end)
    x, y = polygons.unbind(dim=-1)
    return (x * y.roll(-1, dims=1) - y * x.roll(-1, dims=1)).sum(dim=1) / 2


def _left_of(polygons: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The parts ``(P, V + 1, 2)`` of convex polygons ``(P, V, 2)`` left of lines from ``start`` to ``end (P, 2)``.

    A part with fewer corners repeats one of them; a part without area has area zero.
    """
    direction = (end - start)[:, None]
    offset = polygons - start[:, None]
    side = direction[..., 0] * offset[..., 1] - direction[..., 1] * offset[..., 0]  # (P, V), positive to the left
    side_after, after = side.roll(-1, dims=1), polygons.roll(-1, dims=1)
    inside = side >= 0
    crosses = inside != (side_after >= 0)
    share = side / torch.where(crosses, side - side_after, 1.0)
    crossing = polygons + share[..., None] * (after - polygons)

    # corner, crossing, corner, crossing, ...: the valid ones move to the front, in their order
    candidates = torch.stack([polygons, crossing], dim=2).flatten(1, 2)
    valid = torch.stack([inside, crosses], dim=2).flatten(1)
    kept, order = valid.sort(dim=1, descending=True, stable=True)
    kept, order = (each[:, : polygons.shape[1] + 1] for each in (kept, order))
    parts = candidates.take_along_dim(order[..., None], dim=1)
    return parts.where(kept[..., None], parts[:, :1])


def _footprints(boxes: Tensor) -> Tensor:
    """See :func:`ccrop.projects.lidar_bev.boxes.footprints`."""
    local = boxes.new_tensor(CORNERS) * boxes[:, None, 3:5]
    cos, sin = boxes[:, 6, None].cos(), boxes[:, 6, None].sin()
    x = cos * local[..., 0] - sin * local[..., 1]
    y = sin * local[..., 0] + cos * local[..., 1]
    return torch.stack([x, y], dim=-1) + boxes[:, None, :2]


def _over_union(shared: NDArray, sizes: NDArray, other_sizes: NDArray) -> NDArray[np.float64]:
    return shared / (sizes[:, None] + other_sizes - shared).clip(min=1e-9)
