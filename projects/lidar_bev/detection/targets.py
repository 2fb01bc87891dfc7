"""The targets of a CenterPoint head from boxes, and boxes back from its maps (Yin et al., CVPR 2021, section 4).

Channels of the regression: offset of the center in its cell along x and y, z in meters, the logarithms of length, width
and height in meters, the velocity along x and y in meters per second if it is learned, and the heading's encoding, see
:mod:`.headings`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ccrop.localization.gaussian_heatmaps import center_heatmaps, gaussian_radius
from ccrop.projects.lidar_bev.detection.headings import HEADING_CODES, HeadingCode
from ccrop.projects.lidar_bev.grid import Grid, stacked

VELOCITY = slice(6, 8)  # channels, if it is learned
ANGLE = HEADING_CODES["angle"]
SMALLEST_SIDE = 1e-2  # meters


class CenterTargets(NamedTuple):
    """The targets of a batch with M boxes in all.

    Attributes:
        heatmaps: ``(N, classes, H, W)`` float32 in [0, 1], exactly 1 in the cells of centers.
        cells: ``(M,)`` int64, the cell of each center, counted through the batch's sweeps, groups of classes, rows and
            columns.
        regression: ``(M, D)`` float32, see the module.
        counted: ``(M,)`` bool: the center is on the grid, and the class is known.
    """

    heatmaps: Tensor
    cells: Tensor
    regression: Tensor
    counted: Tensor


def center_targets(
    boxes: list[Tensor],
    labels: list[Tensor],
    grid: Grid,
    stride: int,
    num_classes: int,
    min_radius: int = 2,
    groups: Tensor | None = None,
    velocities: list[Tensor] | None = None,
    heading: HeadingCode = ANGLE,
) -> CenterTargets:
    """The targets of a batch, all sweeps and boxes at once.

    Args:
        boxes: per sweep ``(M_i, 7)``, see :mod:`ccrop.projects.lidar_bev.boxes`.
        labels: per sweep ``(M_i,)`` int64; negative ones are not classes of the detector and give no target.
        grid: of the encoder.
        stride: of its map.
        min_radius: of the Gaussians, in cells of the map.
        groups: ``(num_classes,)`` int64, the group of each class; None: one group.
        velocities: per sweep ``(M_i, 2)`` in meters per second, NaN if not known; None for no such channels.
        heading: encoding of the headings.
    """
    rows, columns = grid.map_shape(stride)
    every, sweep = stacked(boxes)
    label = torch.cat(labels)
    centers, sizes = to_cells(every[:, :2], grid, stride), every[:, 3:5] / (grid.cell * stride)
    known = label >= 0
    drawn = centers.where(known[:, None], -1)
    radii = gaussian_radius(sizes, min_radius=min_radius)
    heatmaps = center_heatmaps(drawn, radii, sweep, label, (len(boxes), num_classes, rows, columns))

    column, row = drawn.floor().unbind(1)
    counted = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    column, row = (index.where(counted, 0).long() for index in (column, row))
    regression = torch.cat(
        [
            centers - centers.floor(),
            every[:, 2:3],
            every[:, 3:6].clamp(min=SMALLEST_SIDE).log(),
            *([] if velocities is None else [torch.cat(velocities)]),
            heading.encoded(every[:, 6]),
        ],
        dim=1,
    )
    if groups is not None:
        sweep = sweep * (groups.max() + 1) + groups[label.clamp(min=0)]
    return CenterTargets(heatmaps, (sweep * rows + row) * columns + column, regression, counted)


def num_channels(heading: HeadingCode, velocity: bool = False) -> int:
    """Channels of the regression, per group of classes."""
    return VELOCITY.start + 2 * velocity + heading.channels


def decoded(cells: Tensor, regression: Tensor, grid: Grid, stride: int, heading: HeadingCode = ANGLE) -> Tensor:
    """Boxes ``(..., 7)`` of centers, the inverse of :func:`center_targets`.

    Args:
        cells: ``(...)`` int64, row * columns + column on the map.
        regression: ``(..., D)``.
        heading: encoding of the headings.
    """
    columns = grid.map_shape(stride)[1]
    corner = torch.stack([cells % columns, cells // columns], dim=-1)
    low = regression.new_tensor(grid.low[:2])
    xy = (corner + regression[..., :2]) * (grid.cell * stride) + low
    angle = heading.decoded(regression[..., -heading.channels :])
    return torch.cat([xy, regression[..., 2:3], regression[..., 3:6].exp(), angle[..., None]], dim=-1)


def to_cells(xy: Tensor, grid: Grid, stride: int) -> Tensor:
    """x, y ``(M, 2)`` in meters as x, y (columns, rows) in cells of the map."""
    return (xy - xy.new_tensor(grid.low[:2])) / (grid.cell * stride)
