"""Regions and objects of a heatmap, one image and one cell at a time: what the batched code must give."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def regions(heights: NDArray[np.float32], min_distance: int = 1, merge: float = 0.8) -> NDArray[np.int64]:
    """ToMATo as it reads: ``(h, w)``, the index of the peak that each cell belongs to."""
    cells = np.lexsort((np.arange(heights.size), -heights.ravel()))  # from the highest down
    rank = np.empty(heights.size, int)
    rank[cells] = np.arange(heights.size)
    rank = rank.reshape(heights.shape)

    def highest(distance):
        return cells[ndimage.minimum_filter(rank, 2 * distance + 1, mode="constant", cval=heights.size)].ravel()

    neighbor, around = highest(1), highest(min_distance)
    heights, position = heights.ravel(), rank.ravel()
    group = {}
    for cell in cells.tolist():
        above = neighbor[cell] if neighbor[cell] != cell else around[cell]
        group[cell] = cell if above == cell else group[above]

    joined = {}

    def peak(cell):
        found = group[cell]
        while found in joined:
            found = joined[found]
        return found

    rows, columns = rank.shape
    for cell in cells.tolist():
        y, x = divmod(cell, columns)
        around = rank[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].ravel()
        for other in cells[np.sort(around[around < position[cell]])].tolist():
            high, low = sorted((peak(cell), peak(other)), key=position.__getitem__)
            if low != high and heights[cell] >= 0 and heights[cell] >= np.float32(merge) * heights[low]:
                joined[low] = high
    return np.array([peak(cell) for cell in range(heights.size)]).reshape(rows, columns)


def objects(
    heights: NDArray[np.float32],
    max_boxes: int = 8,
    threshold: float = 0.5,
    floor: float = 0.1,
    min_distance: int = 1,
    merge: float = 0.8,
) -> list[tuple[list[float], float]]:
    """x0, y0, x1, y1, score and the fraction of the cells, of at most ``max_boxes`` objects, the best first."""
    rows, columns = heights.shape
    peak_of = regions(heights, min_distance, merge)
    flat = heights.ravel()
    found = []
    for peak in sorted(set(peak_of.ravel().tolist()), key=lambda peak: (-flat[peak], peak)):
        if flat[peak] <= np.float32(floor):
            continue
        belongs = (peak_of == peak) & (heights > np.float32(threshold) * flat[peak])
        ((y, x),) = ndimage.find_objects(belongs.astype(int))
        box = [x.start / columns, y.start / rows, x.stop / columns, y.stop / rows, float(flat[peak])]
        found.append((box, belongs.sum() / (heights >= 0).sum()))
    return found[:max_boxes]
