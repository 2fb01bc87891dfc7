"""Pillars: the points above each cell of a grid become one vector (PointPillars, Lang et al., CVPR 2019).

All points count, and all cells with points become pillars (dynamic voxelization, Zhou et al., CoRL 2019): there are no
caps, hence nothing is drawn at random and nothing padded.
"""

import torch
from torch import Tensor, nn

from projects.lidar_bev.grid import Grid, stacked
from projects.lidar_bev.models.normalization import NORM


class DynamicPillars(nn.Module):
    """Points to a map ``(N, C, H, W)`` with the grid's rows and columns, 0 where no point is.

    A point is described by its own values, its offset from the mean of its pillar's points (3) and from its cell's
    middle (2); a linear layer with batch normalization and ReLU follows, then the maximum over each pillar.

    Args:
        grid: which part of a sweep is seen.
        columns: values of a point, x, y and z first.
        channels: of the map.
    """

    def __init__(self, grid: Grid, columns: int = 4, channels: int = 64) -> None:
        super().__init__()
        self.grid = grid
        self.columns = columns
        self.out_channels = channels
        self.linear = nn.Linear(columns + 5, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels, **NORM)

    def forward(self, sweeps: list[Tensor]) -> Tensor:
        """
        Args:
            sweeps: N of ``(points, columns)`` float32.

        Raises:
            ValueError: a sweep has other columns.
        """
        points, cell = self.grouped(sweeps)
        features = torch.cat([points, self.offsets(points, cell, len(sweeps))], dim=1)
        if self.training and len(features) < 2:
            raise ValueError(f"{len(features)} points of the batch lie in the grid: does {self.grid} fit the data?")
        features = self.norm(self.linear(features))
        rows, columns = self.grid.shape
        # 0 is the ReLU's bound, the maximum's start and what empty cells have
        canvas = features.new_zeros(len(sweeps) * rows * columns, self.out_channels)
        canvas = canvas.scatter_reduce(0, cell[:, None].expand_as(features), features, "amax")
        return canvas.view(len(sweeps), rows, columns, self.out_channels).permute(0, 3, 1, 2)

    def grouped(self, sweeps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The points ``(P, columns)`` inside the grid, and the cell of the batch that each lies in, ``(P,)`` int64."""
        for sweep in sweeps:
            if sweep.ndim != 2 or sweep.shape[1] != self.columns:
                raise ValueError(f"expected sweeps (points, {self.columns}), got {tuple(sweep.shape)}: adapt columns")
        points, sweep = stacked(sweeps)
        inside = self.grid.inside(points)
        points, sweep = points[inside], sweep[inside]
        row, column = self.grid.cells(points)
        rows, columns = self.grid.shape
        return points, (sweep * rows + row) * columns + column

    def offsets(self, points: Tensor, cell: Tensor, num_sweeps: int) -> Tensor:
        """Offsets ``(P, 5)`` in metres: x, y, z from the mean of the pillar's points, x, y from the cell's middle."""
        rows, columns = self.grid.shape
        xyz1 = torch.cat([points[:, :3], torch.ones_like(points[:, :1])], dim=1)
        sums = points.new_zeros(num_sweeps * rows * columns, 4).index_add(0, cell, xyz1)[cell]
        from_mean = points[:, :3] - sums[:, :3] / sums[:, 3:]
        position = (points[:, :2] - points.new_tensor(self.grid.low[:2])) / self.grid.cell
        from_middle = (position - position.floor() - 0.5) * self.grid.cell
        return torch.cat([from_mean, from_middle], dim=1)
