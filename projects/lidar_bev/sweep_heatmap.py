"""Heatmaps of the objects in a sweep, on the cells of a bird's-eye-view grid: from points and from features."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ccrop.localization import peak_regions
from ccrop.projects.lidar_bev.grid import Grid, stacked

RING = 4.0  # meters of range over which responses are averaged


class CellStatistics(NamedTuple):
    """What rises above the ground in each cell of a batch of sweeps.

    Attributes:
        points: ``(N, H, W)`` float32, the number of points above the ground.
        height: ``(N, H, W)`` meters from the ground to the highest of them, 0 if there is none.
    """

    points: Tensor
    height: Tensor


def cells_above_ground(
    sweeps: list[Tensor], grid: Grid, ground_window: float = 4.0, clearance: float = 0.3, ceiling: float = 4.0
) -> CellStatistics:
    """Points above the ground, cell by cell.

    The ground is the morphological opening of the lowest point of each cell (Zhang et al., IEEE Trans. Geoscience and
    Remote Sensing 2003): objects narrower than the window do not count as ground, slopes do.

    Args:
        sweeps: N of ``(points, 3 or more)``; those outside the grid's x and y do not count, whatever their z.
        grid: its cells.
        ground_window: side of the opening's window in meters.
        clearance: lowest height of a point above the ground, in meters.
        ceiling: highest one: roofs, branches and bridges do not count.
    """
    rows, columns = grid.shape
    points, sweep = stacked(sweeps)
    inside = grid.above(points)
    points, sweep = points[inside], sweep[inside]
    row, column = grid.cells(points)
    cell = (sweep * rows + row) * columns + column
    z = points[:, 2]
    shape = (len(sweeps), rows, columns)
    lowest = z.new_full((math.prod(shape),), torch.inf).scatter_reduce(0, cell, z, "amin")
    ground = opened(lowest.view(shape), 2 * round(ground_window / grid.cell / 2) + 1)
    above = z - ground.flatten()[cell]
    stands = (above >= clearance) & (above <= ceiling)
    cell, above = cell[stands], above[stands]
    count = torch.zeros_like(lowest).index_add(0, cell, torch.ones_like(above))
    height = torch.zeros_like(lowest).scatter_reduce(0, cell, above, "amax")
    return CellStatistics(count.view(shape), height.view(shape))


def opened(lowest: Tensor, window: int) -> Tensor:
    """Opening of a map ``(N, H, W)``, infinite in cells without points, by a square of ``window`` cells (odd)."""
    eroded = -F.max_pool2d(-lowest[:, None], window, 1, window // 2)
    known = eroded.where(eroded.isfinite(), -torch.inf)
    return F.max_pool2d(known, window, 1, window // 2)[:, 0]


def geometric_heatmap(
    cells: CellStatistics, grid: Grid, full_height: float = 1.5, half_range: float = 20.0, points: float = 4.0
) -> Tensor:
    """Height times occupancy, ``(N, H, W)`` in [0, 1]; 0 where nothing rises above the ground.

    A surface returns 1 / r^2 of its points at r times the range, so occupancy is 1 - exp(-count (r / half_range)^2 /
    points): distant objects do not vanish.

    Args:
        cells: of :func:`cells_above_ground`.
        grid: its cells.
        full_height: height in meters from which the height factor is 1.
        half_range: range in meters at which ``points`` points fill a cell.
        points: see ``half_range``.
    """
    distance = (ranges(grid, cells.points.device) / half_range).clamp(min=0.25)
    occupancy = -torch.expm1(-cells.points * distance**2 / points)
    return (cells.height / full_height).clamp(max=1) * occupancy


def learned_heatmap(features: Tensor, cells: CellStatistics, grid: Grid) -> Tensor:
    """How strongly an encoder responds, ``(N, H, W)`` in [0, 1]; 0 where nothing rises above the ground.

    A cell's response is the Euclidean distance of its features to their mean over the sweep's occupied cells, divided
    by twice the mean response at the same range, so that 0.5 is usual there, and cut at 1.

    Args:
        features: ``(N, C, h, w)`` of the same grid.
        cells: of :func:`cells_above_ground`.
        grid: its cells.
    """
    features = features.float()
    stands = cells.height > 0
    shown = F.adaptive_max_pool2d(stands.float()[:, None], features.shape[2:])
    total = shown.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (features * shown).sum(dim=(2, 3), keepdim=True) / total
    response = (features - mean).norm(dim=1, keepdim=True) * shown
    height, width = features.shape[2:]
    distance = F.adaptive_avg_pool2d(ranges(grid, features.device)[None, None], (height, width))
    usual = _ring_means(response[:, 0], shown[:, 0], distance[0, 0])
    relative = (response[:, 0] / (2 * usual).clamp(min=torch.finfo(torch.float32).tiny)).clamp(max=1)
    large = F.interpolate(relative[:, None], grid.shape, mode="bilinear", align_corners=False)[:, 0]
    return large.nan_to_num(0).where(stands, 0.0)


def walls(heatmap: Tensor, grid: Grid, length: float = 8.0, thickness: float = 1.0, level: float = 0.2) -> Tensor:
    """Which cells ``(N, H, W)`` belong to something long and thin: walls, fences and hedges.

    Connected cells above ``level`` are one structure. Its length is that of a line with the same largest variance, and
    its thickness is its area divided by this length, so that corners and bends count as thin, too.

    Args:
        heatmap: ``(N, H, W)``, not smoothed.
        grid: its cells.
        length: meters above which something thin is a wall.
        thickness: mean thickness in meters below which something long is one.
        level: of the heatmap.
    """
    num, rows, columns = heatmap.shape
    above = heatmap > level
    first = torch.arange(num, device=heatmap.device)[:, None, None] * (rows * columns)
    thing = (peak_regions(above.float()) + first)[above]
    y, x = (each.double() * grid.cell for each in above.nonzero()[:, 1:].unbind(dim=1))
    moments = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y])
    sums = x.new_zeros(6, heatmap.numel()).index_add(1, thing, moments)
    total, (x, y, xx, yy, xy) = sums[0], sums[1:] / sums[0].clamp(min=1)
    xx, yy, xy = xx - x * x, yy - y * y, xy - x * y
    largest = (xx + yy) / 2 + (((xx - yy) / 2).square() + xy.square()).sqrt()
    long = (12 * largest + grid.cell**2).sqrt()
    is_wall = (long > length) & (total * grid.cell**2 < thickness * long)
    return torch.zeros_like(above).masked_scatter(above, is_wall[thing])


def smoothed(heatmap: Tensor, sigma: float) -> Tensor:
    """A heatmap ``(N, H, W)`` convolved with a Gaussian of ``sigma`` cells, zero-padded."""
    if sigma == 0:
        return heatmap
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=heatmap.device, dtype=heatmap.dtype)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma**2), dim=0)
    along = F.conv2d(heatmap[:, None], kernel.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(along, kernel.view(1, 1, -1, 1), padding=(reach, 0))[:, 0]


def ranges(grid: Grid, device: torch.device | str = "cpu") -> Tensor:
    """Distance ``(H, W)`` in meters of each cell's center from the sensor, seen from above."""
    x, y = (
        low + (torch.arange(number, device=device) + 0.5) * grid.cell
        for low, number in zip(grid.low[:2], grid.shape[::-1], strict=True)
    )
    return torch.hypot(x[None, :], y[:, None])


def _ring_means(values: Tensor, weights: Tensor, distance: Tensor) -> Tensor:
    """Weighted mean of ``(N, H, W)`` over rings of ``RING`` meters around the sensor, in each cell that of its ring."""
    ring = (distance / RING).long().flatten()
    rings = int(ring.max()) + 1
    sums, totals = (
        each.new_zeros(len(each), rings).index_add(1, ring, each.flatten(1)) for each in (values * weights, weights)
    )
    return (sums / totals.clamp(min=1))[:, ring].view_as(values)
