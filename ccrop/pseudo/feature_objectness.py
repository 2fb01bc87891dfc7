"""Which boxes resemble objects? Boxes against windows of the same sizes anywhere, by their features, without labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBORS = 50
BANK = 20_000  # windows that each box is compared with; of more, as many are drawn
CHUNK = 512  # boxes compared at once


def objectness(
    boxes: Tensor,
    box_images: Tensor,
    windows: Tensor,
    window_images: Tensor,
    neighbors: int = NEIGHBORS,
    bank: int = BANK,
    seed: int = 0,
) -> Tensor:
    """Fraction of the nearest neighbors of each box, in other images, that are boxes too.

    Objects recur in a data set and look alike; what stands out by chance does not. Neighbors are by
    the cosine of features after subtracting the overall mean. With as many windows as boxes, chance is 0.5.

    Args:
        boxes: features ``(M, D)`` of boxes; with their images ``(M,)`` int64.
        windows: features ``(W, D)`` of windows in places without a box; with their images ``(W,)`` int64.
        neighbors: k; fewer where other images have fewer.
        bank: boxes and windows that each box is compared with; if there are more, they are drawn at random.
        seed: of this draw.

    Returns:
        ``(M,)`` float32 in [0, 1]; 1 if there is no other image to compare with.
    """
    if not len(boxes):
        return boxes.new_zeros(0, dtype=torch.float32)
    features = torch.cat([boxes, windows]).float()
    images = torch.cat([box_images, window_images])
    is_box = torch.arange(len(features), device=features.device) < len(boxes)
    centered = F.normalize(features - features.mean(dim=0), dim=1)
    drawn = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))[:bank].to(features.device)
    bank_features, bank_images, bank_is_box = centered[drawn].T, images[drawn], is_box[drawn].float()
    found = []
    for own, image in zip(centered[: len(boxes)].split(CHUNK), box_images.split(CHUNK), strict=True):
        similarity = own @ bank_features
        similarity[image[:, None] == bank_images] = -torch.inf
        nearest = similarity.topk(min(neighbors, len(drawn)), dim=1)
        other = nearest.values > -torch.inf
        fraction = (bank_is_box[nearest.indices] * other).sum(dim=1) / other.sum(dim=1)
        found.append(torch.where(other.any(dim=1), fraction, 1.0))
    return torch.cat(found)
