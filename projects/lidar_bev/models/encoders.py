"""Encoders: sweeps to bird's-eye-view feature maps."""

from typing import Any

from torch import Tensor, nn

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models.backbone import BevBackbone
from ccrop.projects.lidar_bev.models.pillars import DynamicPillars
from ccrop.projects.lidar_bev.models.sparse import SparseVoxels

KITTI_GRID = Grid(low=(0, -39.68, -3), high=(69.12, 39.68, 1), cell=0.16)
NUSCENES_GRID = Grid(low=(-51.2, -51.2, -5), high=(51.2, 51.2, 3), cell=0.2)
# all around the sensor, for demos
SMALL_GRID = Grid(low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)

# PointPillars' on KITTI, CenterPoint's on nuScenes, and one for demos
PILLAR_SIZES: dict[str, dict[str, Any]] = {
    "kitti": dict(
        layers=(3, 5, 5), strides=(2, 2, 2), channels=(64, 128, 256), up_strides=(1, 2, 4), up_channels=(128, 128, 128)
    ),
    "nuscenes": dict(
        layers=(3, 5, 5),
        strides=(2, 2, 2),
        channels=(64, 128, 256),
        up_strides=(0.5, 1, 2),
        up_channels=(128, 128, 128),
    ),
    "small": dict(
        layers=(1, 2, 2), strides=(1, 2, 2), channels=(32, 64, 96), up_strides=(0.5, 1, 2), up_channels=(32, 32, 32)
    ),
}
PILLAR_CHANNELS = {"kitti": 64, "nuscenes": 64, "small": 32}


class Encoder(nn.Module):
    """Sweeps, N of ``(points, columns)``, to a map ``(N, out_channels, H / stride, W / stride)``.

    Attributes:
        grid: which part of a sweep is seen, ``(H, W)`` cells.
        in_channels: values of a point.
        stride: of the map to the grid.
        out_channels: of the map.
    """

    grid: Grid
    in_channels: int
    stride: int
    out_channels: int


class PillarEncoder(Encoder):
    """Dynamic pillars and a 2D backbone.

    Args:
        grid: which part of a sweep is seen.
        columns: values of a point, x, y and z first.
        size: a name in ``PILLAR_SIZES``.

    Attributes:
        in_channels: ``columns``.
        stride: of the map to the grid: 2 for "kitti", 4 for "nuscenes", 2 for "small".
        out_channels: 384, 384, 96.

    Raises:
        ValueError: an unknown size, or the grid's rows or columns are not a multiple of the coarsest stage's stride.
    """

    def __init__(self, grid: Grid, columns: int = 4, size: str = "kitti") -> None:
        super().__init__()
        if size not in PILLAR_SIZES:
            raise ValueError(f"size must be one of {', '.join(PILLAR_SIZES)}, got {size!r}")
        self.grid = grid
        self.in_channels = columns
        self.pillars = DynamicPillars(grid, columns, PILLAR_CHANNELS[size])
        self.backbone = BevBackbone(PILLAR_CHANNELS[size], **PILLAR_SIZES[size])
        grid.map_shape(self.backbone.total_stride)
        self.stride = self.backbone.stride
        self.out_channels = self.backbone.out_channels

    def forward(self, sweeps: list[Tensor]) -> Tensor:
        """Sweeps, N of ``(points, columns)``, to a map ``(N, out_channels, H / stride, W / stride)``."""
        return self.backbone(self.pillars(sweeps))


class SparseEncoder(Encoder):
    """Sparse 3D convolutions and a 2D backbone: SECOND's.

    Args:
        grid: which part of a sweep is seen; its rows and columns are multiples of 16.
        columns: values of a point, x, y and z first.
        cell_height: height of a voxel in meters.

    Attributes:
        in_channels: ``columns``.
        stride: of the map to the grid, 8.
        out_channels: 512.
    """

    def __init__(self, grid: Grid, columns: int = 4, cell_height: float = 0.1) -> None:
        super().__init__()
        self.grid = grid
        self.in_channels = columns
        self.voxels = SparseVoxels(grid, columns, cell_height)
        self.backbone = BevBackbone(
            self.voxels.out_channels,
            layers=(5, 5),
            strides=(1, 2),
            channels=(128, 256),
            up_strides=(1, 2),
            up_channels=(256, 256),
        )
        self.stride = self.voxels.stride * self.backbone.stride
        grid.map_shape(self.voxels.stride * self.backbone.total_stride)
        self.out_channels = self.backbone.out_channels

    def forward(self, sweeps: list[Tensor]) -> Tensor:
        """Sweeps, N of ``(points, columns)``, to a map ``(N, out_channels, H / 8, W / 8)``."""
        return self.backbone(self.voxels(sweeps))
