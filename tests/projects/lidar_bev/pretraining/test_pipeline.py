"""Views of a sweep with its boxes, as the windows want them."""

import numpy as np
import pytest
import torch

from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.pretraining import RandomBoxes, SceneSweeps, WholeSweep, collate_sweeps
from ccrop.projects.lidar_bev.pretraining.pipeline import occupied_places
from ccrop.projects.lidar_bev.views import MotionRange

GRID = Grid(low=(-16, -24, -3), high=(16, 24, 1), cell=0.5)


def sample(number: int = 3000, seed: int = 0, **more) -> dict:
    points = np.random.default_rng(5).uniform(-14, 14, (number, 4)).astype(np.float32)
    return dict(points=points, index=3, rng=np.random.default_rng(seed)) | more


def applied(transform: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return xy @ transform[:, :2].T + transform[:, 2]


def test_views_their_transforms_boxes_and_places():
    clusters = np.array([[0.1, 0.2, 0.3, 0.4, 0.9], [0.5, 0.5, 0.6, 0.7, 0.4]], dtype=np.float32)
    before = sample(clusters=clusters)
    made = SceneSweeps(GRID, max_boxes=4, num_places=50, dropout=0.0, thinning=0)(before)
    assert made["boxes"].tolist() == [*clusters.tolist(), [0] * 5, [0] * 5]
    assert (made["counts"], made["index"]) == (2, 3)
    in_sweep = applied(GRID.to_fractions(), before["points"][:, :2])
    for view, transform in zip(made["views"], made["transforms"], strict=True):
        in_view = applied(GRID.to_fractions(), view[:, :2].numpy())
        np.testing.assert_allclose(applied(transform.numpy(), in_sweep), in_view, atol=1e-4)
    # a place is in a cell of 1 m with a point
    meters = made["places"].numpy() * [32, 48] + [-16, -24]
    held = {tuple(cell) for cell in np.floor(before["points"][:, :2]).astype(int).tolist()}
    assert {tuple(cell) for cell in np.floor(meters).astype(int).tolist()} <= held
    assert len(made["places"]) == 50
    assert SceneSweeps(GRID, max_boxes=4)(sample())["counts"] == 0


def test_too_many_boxes_are_an_error():
    with pytest.raises(ValueError, match="sweep 3 has 9 boxes, but SceneSweeps expects at most 4"):
        SceneSweeps(GRID, max_boxes=4)(sample(clusters=np.zeros((9, 5), dtype=np.float32)))


def test_what_lies_ahead_is_not_mirrored_behind():
    ahead = Grid(low=(0, -24, -3), high=(48, 24, 1), cell=0.5)
    with pytest.raises(ValueError, match=r"motion\.mirror_x to 0"):
        SceneSweeps(ahead, max_boxes=4)
    SceneSweeps(ahead, max_boxes=4, motion=MotionRange(mirror_x=0.0))


def test_places_are_uniform_over_cells_and_not_over_points():
    dense = np.tile([[1.5, 2.5]], (5000, 1))
    points = np.concatenate([dense, [[-7.5, 3.5], [90, 0]]])
    places = occupied_places(points, GRID, 4000, np.random.default_rng(0)) * [32, 48] + [-16, -24]
    near = np.floor(places).tolist()
    assert near.count([1, 2]) + near.count([-8, 3]) == 4000
    assert near.count([1, 2]) == pytest.approx(2000, abs=150)
    anywhere = occupied_places(points[-1:], GRID, 4000, np.random.default_rng(0))
    assert anywhere.mean(axis=0).tolist() == pytest.approx([0.5, 0.5], abs=0.03)


def test_random_boxes_have_their_sizes_and_lie_where_points_are():
    made = RandomBoxes(GRID, 500, sides=(1.0, 4.0))(sample())
    boxes = made["clusters"]
    assert boxes.shape == (500, 5)
    assert ((boxes >= 0) & (boxes <= 1)).all()
    sides = (boxes[:, 2:4] - boxes[:, :2]) * [32, 48]
    assert sides.max() <= 4 + 1e-4
    assert np.median(sides) == pytest.approx(2, abs=0.2)  # log-uniform
    again = RandomBoxes(GRID, 500, sides=(1.0, 4.0))(sample())["clusters"]
    np.testing.assert_array_equal(boxes, again)
    assert (RandomBoxes(GRID, 500)(sample(seed=1))["clusters"] != boxes).any()
    with pytest.raises(ValueError, match="0 < low <= high"):
        RandomBoxes(GRID, 5, (3.0, 1.0))


def test_a_batch_keeps_sweeps_apart():
    step = SceneSweeps(GRID, max_boxes=4)
    batch = collate_sweeps([step(sample(number)) for number in (900, 1500, 1200)])
    assert [len(view) for view in batch["views"]] == [3, 3]
    assert all(view[0].shape[1] == 4 and len(view[0]) <= 900 < len(view[1]) for view in batch["views"])
    assert [tuple(each.shape) for each in batch["transforms"]] == [(3, 2, 3)] * 2
    assert batch["boxes"].shape == (3, 4, 5)
    assert batch["counts"].tolist() == [0, 0, 0]
    assert batch["places"].shape == (3, 256, 2)
    whole = collate_sweeps([WholeSweep()(sample(number)) for number in (900, 1500)])
    assert [len(each) for each in whole["sweeps"]] == [900, 1500]
    assert torch.equal(whole["index"], torch.tensor([3, 3]))
