import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.grid import Grid, stacked

GRID = Grid(low=(0, -4, -3), high=(8, 4, 1), cell=0.5)


def test_cells_by_hand():
    points = torch.tensor([[0.0, -4, 0], [0.49, -3.51, 0], [0.5, -4, 0], [7.99, 3.99, 0], [3.2, 1.1, 0]])
    rows, columns = GRID.cells(points)
    assert rows.tolist() == [0, 0, 0, 15, 10]
    assert columns.tolist() == [0, 0, 1, 15, 6]
    assert GRID.shape == (16, 16)


def test_points_inside():
    points = torch.tensor(
        [[0.0, 0, 0, 9], [8, 0, 0, 9], [1, -4.01, 0, 9], [1, 0, 1, 9], [1, 0, -3, 9], [-0.01, 0, 0, 9]]
    )
    assert GRID.inside(points).tolist() == [True, False, False, False, True, False]


def test_a_point_a_rounding_error_below_the_end_is_in_the_last_cell():
    grid = Grid(low=(-69.12, -69.12, -3), high=(69.12, 69.12, 1), cell=0.16)
    edge = torch.nextafter(torch.tensor(69.12), torch.tensor(0.0))
    point = torch.stack([edge, edge, edge * 0])[None]
    assert grid.inside(point).all()
    assert [int(each) for each in grid.cells(point)] == [863, 863]


def test_meters_to_cells_and_fractions():
    grid = Grid(low=(0, -4, -3), high=(8, 12, 1), cell=0.5)
    assert grid.shape == (32, 16)
    assert grid.map_shape(4) == (8, 4)
    at = np.array([2.0, 4.0, 1.0])
    assert (grid.to_cells() @ at).tolist() == [4, 16]
    assert (grid.to_cells(4) @ at).tolist() == [1, 4]
    assert (grid.to_fractions() @ at).tolist() == [0.25, 0.5]


def test_refuses_sizes_that_do_not_divide():
    with pytest.raises(ValueError, match=r"y from -4 to 4.2 m is 16.400 cells of 0.5 m.*end at 4 m"):
        Grid(low=(0, -4, -3), high=(8, 4.2, 1), cell=0.5)
    with pytest.raises(ValueError, match="high must exceed low"):
        Grid(low=(0, -4, 1), high=(8, 4, 1), cell=0.5)
    with pytest.raises(ValueError, match="16 x 16 cells has no map of stride 3"):
        GRID.map_shape(3)


def test_sweeps_are_stacked_in_order():
    points, sweep = stacked([torch.ones(2, 4), torch.zeros(0, 4), torch.full((1, 4), 2.0)])
    assert points[:, 0].tolist() == [1, 1, 2]
    assert sweep.tolist() == [0, 0, 2]
