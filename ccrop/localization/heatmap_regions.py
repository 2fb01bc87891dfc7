"""Heatmap -> regions: which peak each cell belongs to."""

import torch
from torch import Tensor

INDEX_BITS = 22
PAIRS = ((0, 1), (1, -1), (1, 0), (1, 1))


def peak_regions(heatmap: Tensor, min_distance: int = 1, merge: float = 0.8) -> Tensor:
    """The peak that each cell of a heatmap climbs to, with peaks merged that barely stand apart.

    Each cell points to the highest of its 8 neighbors and itself (steepest ascent, Koontz et al., IEEE Trans.
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
    region = _merged(heatmap, order.flatten(), _roots(parent.flatten(), cells), merge)
    return region.view_as(order) - first


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


def _at(values: Tensor, index: Tensor) -> Tensor:
    """``values (M,)`` at indices of any shape; on a CPU five times as fast as ``values[index]``."""
    return values.index_select(0, index.flatten()).view_as(index)


def _roots(parent: Tensor, longest: int) -> Tensor:
    """Where each cell's path ends, by pointer jumping; ``longest`` is a bound on the steps of a path."""
    for _ in range(longest.bit_length()):
        above = _at(parent, parent)
        if parent.is_cpu and torch.equal(above, parent):  # this would wait for a GPU
            break
        parent = above
    return parent


def _merged(heatmap: Tensor, order: Tensor, region: Tensor, merge: float) -> Tensor:
    """Let each region join the one behind its highest saddle, if that is higher, until no saddle is high enough.

    Joining raises peaks, so a saddle that is too low stays so. What joins a region has only lower saddles left than
    the one over which it joins; so regions may join in any order, and all whose highest saddle leads up join at once.

    Args:
        order, region: ``(N h w,)``.
    """
    index = torch.arange(len(region), device=region.device)
    peaks = (region == index).nonzero()[:, 0]
    joined = own = index[: len(peaks)]
    numbers = torch.empty_like(region).scatter_(0, peaks, own)
    heights, ranks = _at(heatmap.flatten(), peaks), _at(order, peaks)

    cells = _saddles(heatmap, region, merge)
    ends, orders = _at(numbers, _at(region, cells)), _at(order, cells)
    saddles = torch.minimum(*_at(heatmap.flatten(), cells))
    lower, higher = torch.minimum(*orders), torch.maximum(*orders)
    while len(saddles):
        # the highest saddle of a region has the highest lower cell, and of these the highest other cell
        top = lower == _at(_largest(own, ends, lower), ends)
        top &= higher == _at(_largest(own, ends, higher.where(top, -1)), ends)
        up = top & (_at(ranks, ends) < _at(ranks, ends.flip(0)))
        above = _largest(own, ends, ends.flip(0).where(up, -1))
        parent = _roots(above.where(above >= 0, own), len(own))
        joined, ends = _at(parent, joined), _at(parent, ends)
        apart = (ends[0] != ends[1]) & (saddles >= merge * torch.minimum(*_at(heights, ends)))
        left = apart.nonzero()[:, 0]
        ends, saddles, lower, higher = (each.index_select(-1, left) for each in (ends, saddles, lower, higher))
    numbers = numbers.scatter_(0, peaks, _at(peaks, joined))
    return _at(numbers, region)


def _largest(own: Tensor, ends: Tensor, values: Tensor) -> Tensor:
    """The largest of the values ``(E,)`` or ``(2, E)`` of a region's saddles, -1 without any, ``(M,)`` as ``own``.

    Args:
        ends: ``(2, E)``, the two regions of each saddle.
    """
    return torch.full_like(own, -1).scatter_reduce_(0, ends.flatten(), values.expand_as(ends).flatten(), "amax")


def _saddles(heatmap: Tensor, region: Tensor, merge: float) -> Tensor:
    """Neighboring cells ``(2, E)`` in two regions that may merge.

    Args:
        region: ``(N h w,)``.
    """
    peaks, region = _at(heatmap.flatten(), region).view_as(heatmap), region.view_as(heatmap)
    near = torch.zeros(len(PAIRS), *heatmap.shape, dtype=torch.bool, device=heatmap.device)
    for number, (down, right) in enumerate(PAIRS):
        here, there = _neighbors(heatmap, down, right)
        saddle = torch.minimum(heatmap[here], heatmap[there])
        high = (saddle >= 0) & (saddle >= merge * torch.minimum(peaks[here], peaks[there]))
        near[number][here] = high & (region[here] != region[there])
    pair, cell = near.view(len(PAIRS), -1).nonzero().unbind(1)
    steps = torch.tensor([down * heatmap.shape[2] + right for down, right in PAIRS], device=heatmap.device)
    return torch.stack([cell, cell + _at(steps, pair)])


def _neighbors(heatmap: Tensor, down: int, right: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Slices of all cells that have a neighbor at (down, right), and of these neighbors."""
    height, width = heatmap.shape[1:]
    cells = slice(None), slice(0, height - down), slice(max(-right, 0), width - max(right, 0))
    neighbors = slice(None), slice(down, height), slice(max(right, 0), width - max(-right, 0))
    return cells, neighbors
