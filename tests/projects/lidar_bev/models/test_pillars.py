import math
import timeit
from functools import partial

import pytest
import torch
from operators import Operators

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import KITTI_GRID
from ccrop.projects.lidar_bev.models.pillars import DynamicPillars

GRID = Grid(low=(0, -2, -3), high=(4, 2, 1), cell=0.5)


def sweeps_of(*counts, columns=4):
    generator = torch.Generator().manual_seed(0)
    reach = torch.tensor([5.0, 5, 5] + [1] * (columns - 3))
    shift = torch.tensor([0.5, 2.5, 4] + [0] * (columns - 3))
    return [torch.rand(count, columns, generator=generator) * reach - shift for count in counts]


def pillars(columns=4, channels=8):
    torch.manual_seed(0)
    module = DynamicPillars(GRID, columns, channels)
    module.norm.running_mean.normal_()
    module.norm.running_var.uniform_(0.5, 2)
    return module.eval()


def cell_by_cell(module, sweeps):
    """PointPillars' features as a loop over points, cells and sweeps."""
    result = torch.zeros(len(sweeps), module.out_channels, 8, 8)
    for n, sweep in enumerate(sweeps):
        cells = {}
        for point in sweep:
            x, y, z = point[:3].tolist()
            if 0 <= x < 4 and -2 <= y < 2 and -3 <= z < 1:
                cells.setdefault((int((y + 2) / 0.5), int(x / 0.5)), []).append(point)
        for (row, column), points in cells.items():
            points = torch.stack(points)
            middle = torch.tensor([0.25 + 0.5 * column, -1.75 + 0.5 * row])
            offsets = [points[:, :3] - points[:, :3].mean(dim=0), points[:, :2] - middle]
            vectors = torch.cat([points, *offsets], dim=1) @ module.linear.weight.T
            scale = module.norm.weight / (module.norm.running_var + 1e-3).sqrt()
            vectors = ((vectors - module.norm.running_mean) * scale + module.norm.bias).clamp(min=0)
            result[n, :, row, column] = vectors.amax(dim=0)
    return result


@pytest.mark.parametrize("columns", [4, 5])
def test_equals_the_loop_over_cells(columns):
    sweeps, module = sweeps_of(300, 5, 120, columns=columns), pillars(columns)
    with torch.no_grad():
        found, expected = module(sweeps), cell_by_cell(module, sweeps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    occupied = (expected > 0).any(dim=1).flatten(1).float().mean(dim=1)
    assert 0 < occupied.min() < occupied.max() < 1


def test_offsets_by_hand():
    module = pillars()
    sweep = torch.tensor([[0.1, -1.9, 0, 1], [3.9, 1.9, 0, 1], [0.3, -1.9, -1, 1], [9.0, 0, 0, 1]])
    points, pillar, counts = module.grouped([sweep])
    assert points.tolist() == sweep[[0, 2, 1]].tolist()
    assert (pillar.tolist(), counts.tolist()) == ([0, 63], [2, 1])
    expected = [[-0.1, 0, 0.5, -0.15, -0.15], [0.1, 0, -0.5, 0.05, -0.15], [0, 0, 0, 0.15, 0.15]]
    torch.testing.assert_close(module.offsets(points, pillar, counts), torch.tensor(expected), atol=1e-6, rtol=0)


def test_the_order_of_points_changes_nothing():
    (sweep,), module = sweeps_of(400), pillars()
    shuffled = sweep[torch.randperm(400, generator=torch.Generator().manual_seed(1))]
    torch.testing.assert_close(module([sweep]), module([shuffled]))


def test_an_empty_sweep_is_an_empty_map():
    sweeps, module = sweeps_of(100, 0), pillars()
    maps = module(sweeps)
    assert (maps[1] == 0).all()
    torch.testing.assert_close(maps[:1], module(sweeps[:1]))
    assert (module([torch.full((3, 4), 50.0)]) == 0).all()


def test_gradients_reach_the_weights():
    module = pillars().train()
    module(sweeps_of(200, 200)).square().sum().backward()
    assert module.linear.weight.grad.abs().sum() > 0
    assert math.isfinite(module.linear.weight.grad.sum())


def test_waits_for_a_device_only_to_know_how_many_points_and_pillars_there_are():
    module = pillars().train()
    with Operators() as operators:
        module(sweeps_of(200, 200)).square().sum().backward()
    assert operators.waiting == {"nonzero": 1, "unique_consecutive": 1}


def test_refuses_other_columns_and_a_grid_without_points():
    with pytest.raises(ValueError, match=r"expected sweeps \(points, 4\), got \(3, 5\)"):
        pillars()([torch.zeros(3, 5)])
    with pytest.raises(ValueError, match="0 points of the batch are in the grid"):
        pillars().train()([torch.full((3, 4), 50.0)])


def crowded_sweep():
    """120,000 points in PointPillars' grid, most near the sensor, as in sweeps."""
    generator = torch.Generator().manual_seed(0)
    low, extent = torch.tensor([*KITTI_GRID.low, 0]), torch.tensor([69.12, 79.36, 4, 1])
    return torch.rand(120_000, 4, generator=generator) ** 2 * extent + low


def fastest(call):
    """Seconds."""
    return min(timeit.repeat(call, number=1, repeat=6))


@pytest.mark.timing
def test_grouping_is_no_slower_than_spconvs():
    """Which points share a pillar, on two cores; `pytest -s` shows the milliseconds."""
    utils = pytest.importorskip("spconv.pytorch.utils")
    sweep, module = crowded_sweep(), DynamicPillars(KITTI_GRID)
    height = KITTI_GRID.high[2] - KITTI_GRID.low[2]
    cells, area = [KITTI_GRID.cell, KITTI_GRID.cell, height], [*KITTI_GRID.low, *KITTI_GRID.high]
    to_voxels = utils.PointToVoxel(cells, area, 4, 100_000, 32, torch.device("cpu"))
    with torch.no_grad():
        seconds = {
            "grouped": fastest(partial(module.grouped, [sweep])),
            "PointToVoxel": fastest(partial(to_voxels, sweep)),
            "all of the layer": fastest(partial(module.eval(), [sweep])),
        }
    print({name: f"{1000 * each:.1f} ms" for name, each in seconds.items()})
    assert seconds["grouped"] < seconds["PointToVoxel"]


@pytest.mark.timing
def test_training_is_faster_than_by_scattering():
    """`pytest -s` shows the milliseconds."""
    sweep, module = crowded_sweep(), DynamicPillars(KITTI_GRID)

    def scattered():
        points = sweep[KITTI_GRID.inside(sweep)]
        row, column = KITTI_GRID.cells(points)
        cell = row * KITTI_GRID.shape[1] + column
        pillar, counts = cell.unique(return_counts=True)
        inverse = torch.searchsorted(pillar, cell)
        means = points.new_zeros(len(pillar), 3).index_add(0, inverse, points[:, :3]) / counts[:, None]
        features = torch.cat([points, points[:, :3] - means[inverse], points[:, :2]], dim=1)
        features = module.norm(module.linear(features))
        canvas = features.new_zeros(KITTI_GRID.shape[0] * KITTI_GRID.shape[1], 64)
        return canvas.scatter_reduce(0, cell[:, None].expand_as(features), features, "amax")

    def trained(forward):
        forward().sum().backward()

    seconds = {}
    for name, forward in (("sorted", partial(module, [sweep])), ("scattered", scattered)):
        seconds[name] = fastest(partial(trained, forward))
    print({name: f"{1000 * each:.0f} ms" for name, each in seconds.items()})
    assert seconds["scattered"] > 1.3 * seconds["sorted"]
