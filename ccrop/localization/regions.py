"""Heatmap -> regions: to which peak each cell belongs."""

import torch
from torch import Tensor

INDEX_BITS = 22
PAIRS = ((0, 1), (1, -1), (1, 0), (1, 1))


def peak_regions(heatmap: Tensor, min_distance: int = 1, merge: float = 0.8) -> Tensor:
    """The peak that each cell of a heatmap climbs to, peaks that hardly stand apart being one.

    Each cell points to the highest of its 8 neighbours and itself (steepest ascent, Koontz et al., IEEE Trans.
    Computers 1976), a peak to a higher cell within ``min_distance``. Then regions grow together over their saddles,
    from the highest down: where two meet at a saddle of at least ``merge`` times the lower peak, the lower one joins
    the higher. That is ToMATo (Chazal et al., Journal of the ACM 2013) with a relative prominence. Of equally high
    cells the one with the smaller index is the higher, so the result is unique, and a plateau is one region.

    Whole batches at once, in pointer jumps; the device is read once in each round of merging, whatever the number of
    images.

    Args:
        heatmap: ``(N, h, w)`` float32, not negative except for cells outside the image, which are all -1; 2^22
            cells at most.
        min_distance: no two peaks lie within as many rows and columns of each other, in cells; at least 1.
        merge: in (0, 1]; 1 merges plateaus only.

    Returns:
        ``(N, h, w)`` int64, the index (row * w + column) of the peak. Cells outside the image have some index, too.
    """
    num, height, width = heatmap.shape
    cells = height * width
    if cells > 2**INDEX_BITS:
        raise ValueError(f"a heatmap has at most {2**INDEX_BITS} cells, got {height} x {width}")
    order = cell_order(heatmap)
    first = torch.arange(num, device=heatmap.device)[:, None, None] * cells
    own = torch.arange(num * cells, device=heatmap.device).view_as(order)
    parent = _highest(order, 1) + first
    if min_distance > 1:
        parent = torch.where(parent == own, _highest(order, min_distance) + first, parent)
    region = _roots(parent.flatten(), cells).view_as(parent)
    region = _merged(heatmap, order, region, merge)
    return region - first


def cell_order(heatmap: Tensor) -> Tensor:
    """Distinct integers within each image that sort cells by height, equal ones by falling index.

    Args:
        heatmap: see :func:`peak_regions`.

    Returns:
        ``(N, h, w)`` int64, negative outside the image; the last :data:`INDEX_BITS` bits are the cells that follow.
    """
    height, width = heatmap.shape[1:]
    follow = torch.arange(height * width - 1, -1, -1, device=heatmap.device).view(height, width)
    # the bits of floats that are not negative sort as the floats do
    return ((heatmap + 0.0).view(torch.int32).long() << INDEX_BITS) | follow


def _highest(order: Tensor, radius: int) -> Tensor:
    """Index of the highest cell within ``radius`` rows and columns, ``(N, h, w)``."""
    highest = order
    for axis in (1, 2):
        line = highest
        highest = line.clone()
        for step in range(1, min(radius + 1, line.shape[axis])):
            length = line.shape[axis] - step
            before, after = line.narrow(axis, 0, length), line.narrow(axis, step, length)
            for part, other in ((highest.narrow(axis, 0, length), after), (highest.narrow(axis, step, length), before)):
                torch.maximum(part, other, out=part)
    return order.shape[1] * order.shape[2] - 1 - (highest & (2**INDEX_BITS - 1))


def _roots(parent: Tensor, longest: int) -> Tensor:
    """Where each cell's path ends, by pointer jumping; ``longest`` is a bound on the steps of a path."""
    for _ in range(longest.bit_length()):
        parent = parent[parent]
    return parent


def _merged(heatmap: Tensor, order: Tensor, region: Tensor, merge: float) -> Tensor:
    """Let each region join the one behind its highest saddle, if that is higher, until no saddle is high enough.

    Joining raises peaks, so a saddle that is too low stays so. What joins a region has only lower saddles left than
    the one over which it joins; so regions may join in any order, and all whose highest saddle leads up join at once.
    """
    lower, higher = _saddles(heatmap, order, region, merge)
    region = region.flatten()
    peaks, ends = torch.stack([region[lower], region[higher]]).unique(return_inverse=True)
    saddles, heights, order = heatmap.flatten()[lower], heatmap.flatten()[peaks], order.flatten()[peaks]
    joined = own = torch.arange(len(peaks), device=region.device)
    while True:
        apart = (ends[0] != ends[1]) & (saddles >= merge * heights[ends].amin(dim=0))
        saddles, ends = saddles[apart], ends[:, apart]
        if len(saddles) == 0:
            break
        rank = torch.arange(len(saddles), device=region.device)
        best = torch.full_like(own, len(saddles)).scatter_reduce_(0, ends.flatten(), rank.repeat(2), "amin")
        low, high = torch.where(order[ends[0]] > order[ends[1]], ends.flip(0), ends)
        joins = best[low] == rank
        parent = _roots(own.scatter(0, low[joins], high[joins]), len(own))
        joined, ends = parent[joined], parent[ends]
    peak_of = torch.arange(len(region), device=region.device).scatter_(0, peaks, peaks[joined])
    return peak_of[region].view_as(heatmap)


def _saddles(heatmap: Tensor, order: Tensor, region: Tensor, merge: float) -> tuple[Tensor, Tensor]:
    """Lower and higher cell of neighbours in two regions that may merge, highest lower cell first, ``(E,)`` each."""
    peaks = heatmap.flatten()[region]
    index = torch.arange(heatmap.numel(), device=heatmap.device).view_as(region)
    pairs = []
    for down, right in PAIRS:
        here, there = _neighbours(heatmap, down, right)
        saddle = torch.minimum(heatmap[here], heatmap[there])
        near = (saddle >= 0) & (saddle >= merge * torch.minimum(peaks[here], peaks[there]))
        near &= region[here] != region[there]
        pairs.append(torch.stack([index[here][near], index[there][near]]))
    cells = torch.cat(pairs, dim=1)
    ordered = order.flatten()[cells]
    swapped = ordered[0] > ordered[1]
    cells, ordered = torch.where(swapped, cells.flip(0), cells), torch.where(swapped, ordered.flip(0), ordered)
    by_higher = ordered[1].argsort(descending=True, stable=True)
    by_lower = ordered[0][by_higher].argsort(descending=True, stable=True)
    lower, higher = cells[:, by_higher[by_lower]]
    return lower, higher


def _neighbours(heatmap: Tensor, down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of all cells that have a neighbour at (down, right), and of these neighbours."""
    height, width = heatmap.shape[1:]
    cells = slice(None), slice(0, height - down), slice(max(-right, 0), width - max(right, 0))
    neighbours = slice(None), slice(down, height), slice(max(right, 0), width - max(-right, 0))
    return cells, neighbours
