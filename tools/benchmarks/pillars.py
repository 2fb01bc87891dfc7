"""From the points of a sweep to a map of pillars."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ccrop.projects.lidar_bev.models import KITTI_GRID, SMALL_GRID
from ccrop.projects.lidar_bev.models.encoders import PILLAR_CHANNELS
from ccrop.projects.lidar_bev.models.pillars import DynamicPillars
from ccrop.projects.lidar_bev.simulation.sensors import SENSORS
from ccrop.tools.benchmarks.timing import Call, Comparison

POINTS_A_PILLAR = 32  # kept in a fixed buffer, as in PointPillars' configs


def comparisons() -> Iterator[Comparison]:
    for name, grid, size in (("KITTI", KITTI_GRID, "kitti"), ("demo", SMALL_GRID, "small")):
        sweep, module = turn(), DynamicPillars(grid, 4, PILLAR_CHANNELS[size]).eval()
        yield Comparison(
            f"pillars, forward, {name} grid",
            partial(without_gradients, module, sweep),
            {"spconv PointToVoxel and PFN": fixed_buffers(module, sweep)},
            "ms per sweep",
        )


def turn() -> Tensor:
    """One rotation of an HDL-64E ``(points, 4)``: flat ground, and a wall all around at 5 to 60 m."""
    sensor, rng = SENSORS["HDL-64E"], np.random.default_rng(0)
    rays = sensor.directions(rng)
    angle = np.arctan2(rays[:, 1], rays[:, 0])
    wall = 32.5 + 27.5 * np.sin(9 * angle) * np.cos(4 * angle)
    ground = sensor.height / np.maximum(-rays[:, 2], 1e-6)
    distance = np.minimum(wall, ground) + rng.normal(0, sensor.range_noise, len(rays))
    points = np.concatenate([rays * distance[:, None], rng.random((len(rays), 1))], axis=1)
    return torch.from_numpy(points.astype(np.float32))


@torch.no_grad()
def without_gradients(module: DynamicPillars, sweep: Tensor) -> Tensor:
    return module([sweep])


def fixed_buffers(module: DynamicPillars, sweep: Tensor) -> Call | None:
    """PointPillars' feature network on buffers with a fixed number of points per pillar, with the module's weights."""
    try:
        from spconv.pytorch.utils import PointToVoxel
    except ImportError:
        return None
    grid = module.grid
    rows, columns = grid.shape
    to_voxels = PointToVoxel(
        [grid.cell, grid.cell, grid.high[2] - grid.low[2]],
        [*grid.low, *grid.high],
        4,
        len(sweep),
        POINTS_A_PILLAR,
        torch.device("cpu"),
    )

    @torch.no_grad()
    def forward(points: Tensor) -> Tensor:
        voxels, indices, counts = to_voxels(points)
        filled = (torch.arange(POINTS_A_PILLAR) < counts[:, None])[..., None]
        mean = voxels[..., :3].sum(dim=1, keepdim=True) / counts[:, None, None]
        middle = (indices[:, [2, 1]] + 0.5) * grid.cell + points.new_tensor(grid.low[:2])
        vectors = torch.cat([voxels, voxels[..., :3] - mean, voxels[..., :2] - middle[:, None]], dim=2) * filled
        features = module.norm(module.linear(vectors).flatten(0, 1)).relu().unflatten(0, vectors.shape[:2]).amax(dim=1)
        canvas = features.new_zeros(rows * columns, module.out_channels)
        canvas[indices[:, 1].long() * columns + indices[:, 2].long()] = features
        return canvas.view(1, rows, columns, -1).permute(0, 3, 1, 2)

    return partial(forward, sweep)
