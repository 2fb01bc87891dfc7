"""What the two views of a pair have in common: crop statistics, without a model."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ccrop.views import rectangles

# COCO's limits of small and medium objects, areas in pixels
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}


@dataclass(frozen=True)
class PairStatistics:
    """Statistics over all pairs of a set.

    Attributes:
        common: fraction of pairs whose views both show at least half of the same object.
        iou: mean overlap of the two views, intersection over union.
        view_share: fraction of a view that such a common object fills, mean over objects and views, by COCO's sizes;
            NaN if no pair shows an object of that size.
    """

    common: float
    iou: float
    view_share: dict[str, float]


def pair_statistics(views: Tensor, objects: Tensor, counts: Tensor, visible: float = 0.5) -> PairStatistics:
    """Compare the views of pairs with the annotated objects of their images.

    Args:
        views: ``(N, 2, 4)`` left, top, right, bottom in pixels.
        objects: ``(N, M, 4)`` x0, y0, x1, y1 in pixels of the same images.
        counts: ``(N,)`` objects of each image.
        visible: fraction of an object's box that both views must show.
    """
    views, objects = views.double(), objects.double()
    seen = rectangles.intersection(views[:, :, None], objects[:, None])  # (N, 2, M)
    area = rectangles.area(objects)
    exists = (torch.arange(objects.shape[1]) < counts[:, None]) & (area > 0)
    common = (seen >= visible * area[:, None]).all(dim=1) & exists
    share = (seen / rectangles.area(views)[..., None]).mean(dim=1)
    iou = rectangles.iou(views[:, 0], views[:, 1])
    by_size = {name: share[common & (area >= low) & (area < high)].mean().item() for name, (low, high) in SIZES.items()}
    return PairStatistics(common.any(dim=1).double().mean().item(), iou.mean().item(), by_size)


def partners_found(first: Tensor, second: Tensor) -> float:
    """Fraction of views whose nearest neighbor among the other views of all pairs is their partner.

    Features are centered at their mean and compared by cosine. Chance is 1 / N, and a collapsed network is at chance.

    Args:
        first, second: ``(N, C)``, features of the two views of N pairs.
    """
    mean = torch.cat([first, second]).mean(dim=0)
    similarity = F.normalize(first - mean, dim=1) @ F.normalize(second - mean, dim=1).T
    partner = torch.arange(len(first), device=first.device)
    found = [similarity.argmax(dim=dim) == partner for dim in (0, 1)]
    return torch.cat(found).double().mean().item()
