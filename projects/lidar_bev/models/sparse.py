"""Sparse 3D convolutions over voxels (SECOND, Yan et al., Sensors 2018), with spconv, on the CPU too."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ccrop.projects.lidar_bev.extras import extra
from ccrop.projects.lidar_bev.grid import Grid, stacked
from ccrop.projects.lidar_bev.models.normalization import NORM


class SparseVoxels(nn.Module):
    """Points to a map ``(N, C, H / 8, W / 8)``: mean of each voxel's points, sparse convolutions, heights as channels.

    Args:
        grid: which part of a sweep is seen; rows and columns are multiples of 8.
        columns: values of a point, x, y and z first.
        cell_height: height of a voxel in meters.
        channels: of the four resolutions, and of the last convolution.

    Attributes:
        stride: of the map to the grid.
        out_channels: of the map.

    Raises:
        ImportError: spconv is not installed.
    """

    stride = 8

    def __init__(
        self,
        grid: Grid,
        columns: int = 4,
        cell_height: float = 0.1,
        channels: Sequence[int] = (16, 32, 64, 64, 128),
    ) -> None:
        super().__init__()
        spconv = _spconv()
        grid.map_shape(self.stride)
        self.grid = grid
        self.columns = columns
        self.cell_height = cell_height
        self.heights = round((grid.high[2] - grid.low[2]) / cell_height)
        # one more level of height than there are voxels, as in SECOND
        self.spatial_shape = [self.heights + 1, *grid.shape]

        def block(before: int, after: int, key: str, down: bool, padding: int | Sequence[int] = 1) -> nn.Module:
            if down:
                convolution = spconv.SparseConv3d(
                    before, after, 3, 2, padding, bias=False, indice_key=f"down{key}", algo=_native()
                )
            else:
                convolution = spconv.SubMConv3d(before, after, 3, padding=1, bias=False, indice_key=key, algo=_native())
            return spconv.SparseSequential(convolution, nn.BatchNorm1d(after, **NORM), nn.ReLU())

        c = channels
        self.stages = spconv.SparseSequential(
            block(columns, c[0], "1", False),
            block(c[0], c[0], "1", False),
            block(c[0], c[1], "2", True),
            block(c[1], c[1], "2", False),
            block(c[1], c[1], "2", False),
            block(c[1], c[2], "3", True),
            block(c[2], c[2], "3", False),
            block(c[2], c[2], "3", False),
            block(c[2], c[3], "4", True, (0, 1, 1)),
            block(c[3], c[3], "4", False),
            block(c[3], c[3], "4", False),
        )
        last = spconv.SparseConv3d(c[3], c[4], (3, 1, 1), (2, 1, 1), bias=False, indice_key="flat", algo=_native())
        self.flat = spconv.SparseSequential(last, nn.BatchNorm1d(c[4], **NORM), nn.ReLU())
        levels = self.spatial_shape[0]
        for padding in (1, 1, 0):
            levels = (levels + 2 * padding - 3) // 2 + 1
        self.levels = (levels - 3) // 2 + 1
        if self.levels < 1:
            raise ValueError(
                f"z from {grid.low[2]} to {grid.high[2]} m is {self.heights} voxels of {cell_height} m, too "
                "few to halve four times: choose a smaller cell_height"
            )
        self.out_channels = c[4] * self.levels

    def forward(self, sweeps: list[Tensor]) -> Tensor:
        """
        Args:
            sweeps: N of ``(points, columns)`` float32.
        """
        features, indices = self.voxels(sweeps)
        voxels = _spconv().SparseConvTensor(features, indices, self.spatial_shape, len(sweeps))
        with torch.autocast(features.device.type, enabled=False):  # where spconv takes fp16, whatever its type
            dense = self.flat(self.stages(voxels)).dense()
        return dense.flatten(1, 2)

    def voxels(self, sweeps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Means ``(V, columns)`` of the points of each voxel, and its sweep, level, row, column ``(V, 4)`` int32."""
        for sweep in sweeps:
            if sweep.ndim != 2 or sweep.shape[1] != self.columns:
                raise ValueError(f"expected sweeps (points, {self.columns}), got {tuple(sweep.shape)}: set columns")
        points, sweep = stacked(sweeps)
        inside = self.grid.inside(points)
        points, sweep = points[inside], sweep[inside]
        if not len(points):
            raise ValueError(f"no point of the batch is in the grid: check that {self.grid} fits the data")
        row, column = self.grid.cells(points)
        level = ((points[:, 2] - self.grid.low[2]) / self.cell_height).long().clamp(max=self.heights - 1)
        rows, columns = self.grid.shape
        key = ((sweep * self.heights + level) * rows + row) * columns + column
        keys, voxel = key.unique(return_inverse=True)
        sums = points.new_zeros(len(keys), self.columns).index_add(0, voxel, points)
        counts = torch.bincount(voxel, minlength=len(keys))
        place = [keys // (rows * columns * self.heights), keys // (rows * columns) % self.heights]
        place += [keys // columns % rows, keys % columns]
        return sums / counts[:, None], torch.stack(place, dim=1).int()


def _spconv() -> ModuleType:
    return extra("spconv.pytorch", "the sparse encoder, unlike the pillar encoder,")


def _native() -> Any:
    """The algorithm that runs on CPUs as well as on GPUs."""
    _spconv()
    from spconv.core import ConvAlgo

    return ConvAlgo.Native
