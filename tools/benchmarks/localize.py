"""ContrastiveCrop's one box per image."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ccrop.localization import SingleObject
from ccrop.tools.benchmarks.timing import Comparison

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
                "published loop": partial(published_loop, features, size),
                "channel sum only": partial(torch.sum, features, dim=1),
            },
            "ms per image",
            IMAGES,
        )


@torch.no_grad()
def published_loop(features: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Boxes as the published code finds them (Peng et al., CVPR 2022, equation 3): one at a time in whole heatmaps."""
    heatmaps = features.sum(dim=1)
    heatmaps = heatmaps - heatmaps.amin(dim=(1, 2), keepdim=True)
    heatmaps = heatmaps / heatmaps.amax(dim=(1, 2), keepdim=True)
    boxes = []
    for heatmap in F.interpolate(heatmaps[:, None], size, mode="bilinear", align_corners=False)[:, 0]:
        extents = []
        for axis, length in enumerate(reversed(size)):
            above = torch.nonzero(heatmap.amax(dim=axis) > THRESHOLD)[:, 0]
            extents.append(above[[0, -1]] / length)
        boxes.append(torch.stack(extents, dim=1).flatten())
    return boxes
