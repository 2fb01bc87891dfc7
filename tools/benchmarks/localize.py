"""ContrastiveCrop's one box per image."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ccrop.localization import SingleObject
from ccrop.tools.benchmarks.common import Comparison

IMAGES = 256
THRESHOLD = 0.1


def comparisons() -> Iterator[Comparison]:
    for cells, side in ((7, 224), (4, 32)):
        features = torch.randn(IMAGES, 512, cells, cells, generator=torch.Generator().manual_seed(0)).relu()
        localizer, size = SingleObject(THRESHOLD), (side, side)
        yield Comparison(
            f"single box, maps of {cells}x{cells} at {side} px",
            partial(localizer, features, size),
            {
                "published loop": partial(image_by_image, features, size),
                "channel sum only": partial(torch.sum, features, dim=1),
            },
            "ms per image",
            IMAGES,
        )


@torch.no_grad()
def image_by_image(features: Tensor, size: tuple[int, int]) -> list[list[Tensor]]:
    """Boxes as the published code finds them (Peng et al., CVPR 2022, equation 3), one image at a time."""
    height, width = size
    boxes = []
    for image in features:
        heatmap = image.sum(dim=0)
        heatmap = (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min())
        large = F.interpolate(heatmap[None, None], size, mode="bilinear", align_corners=False)[0, 0]
        rows, columns = torch.nonzero(large > THRESHOLD, as_tuple=True)
        boxes.append([columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height])
    return boxes
