"""Boxes around the peaks of heatmaps."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from ccrop.localization import MultiObject, feature_heatmap
from ccrop.tools.benchmarks.timing import Call, Comparison

IMAGES = 64


def comparisons() -> Iterator[Comparison]:
    for cells in (28, 56):
        for name, smooth in (("noise", 1), ("smooth", 5)):
            heatmap = drawn(cells, smooth)
            yield Comparison(
                f"clusters, heatmaps of {cells}x{cells}, {name}",
                partial(MultiObject().objects, heatmap),
                {"scikit-image peaks and watershed": peaks_and_watershed(heatmap)},
                "ms per image",
                IMAGES,
            )


def drawn(cells: int, smooth: int) -> Tensor:
    """Heatmaps ``(N, cells, cells)`` of random features, averaged over ``smooth`` rows and columns."""
    features = torch.randn(IMAGES, 16, cells, cells, generator=torch.Generator().manual_seed(0)).relu()
    return feature_heatmap(F.avg_pool2d(features, smooth, 1, smooth // 2))


def peaks_and_watershed(heatmap: Tensor) -> Call | None:
    """The same rule except for merging peaks: each takes the cells that climb to it, above half its height."""
    try:
        from skimage.feature import peak_local_max
        from skimage.measure import regionprops
        from skimage.segmentation import watershed
    except ImportError:
        return None
    import numpy as np

    def boxes(maps: np.ndarray) -> list[list[tuple[int, ...]]]:
        found = []
        for heights in maps:
            peaks = peak_local_max(heights, min_distance=1, threshold_abs=0.1, exclude_border=False, num_peaks=8)
            markers = np.zeros(heights.shape, np.int32)
            markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
            regions = watershed(-heights, markers)
            tops = np.concatenate([[np.inf], heights[tuple(peaks.T)]])
            regions[heights <= 0.5 * tops[regions]] = 0
            found.append([each.bbox for each in regionprops(regions)])
        return found

    return partial(boxes, heatmap.numpy())
