import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ccrop.projects.lidar_bev.boxes import corners, num_points_in_boxes
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.views import (
    Motion,
    MotionRange,
    SweepViews,
    between_fractions,
    composed,
    dropped,
    inverted,
    thinned,
    to_cells,
    to_fractions,
)
from ccrop.views.windows import transformed

GRID = Grid(low=(-16, -24, -3), high=(16, 24, 1), cell=0.5)


def random_motions(number):
    rng = np.random.default_rng(0)
    return [MotionRange(angle=math.pi, shift=(3, 3, 1)).draw(rng) for _ in range(number)]


def applied(transform, xy):
    return xy @ transform[:, :2].T + transform[:, 2]


@pytest.mark.parametrize(
    ("motion", "expected"),
    [
        (Motion(), (2, 1, 3)),
        (Motion(angle=math.pi / 2), (-1, 2, 3)),
        (Motion(mirror_x=True), (-2, 1, 3)),
        (Motion(mirror_y=True), (2, -1, 3)),
        (Motion(scale=2.0), (4, 2, 6)),
        (Motion(shift=(1.0, 2, 3)), (3, 3, 6)),
        (Motion(math.pi / 2, True, False, 2.0, (1.0, 0, -1)), (3, 4, 5)),
    ],
)
def test_a_point_by_hand(motion, expected):
    point = np.array([[2.0, 1, 3, 0.7]])
    moved = motion.points(point)
    assert moved[0].tolist() == pytest.approx([*expected, 0.7])
    np.testing.assert_allclose(applied(motion.transform(), point[:, :2]), moved[:, :2], atol=1e-12)
    assert point.tolist() == [[2.0, 1, 3, 0.7]]


def test_boxes_move_with_their_points():
    rng = np.random.default_rng(1)
    boxes = np.column_stack([rng.uniform(-20, 20, (20, 3)), rng.uniform(1, 6, (20, 3)), rng.uniform(-3, 3, 20)])
    points = np.concatenate(
        [corners(boxes * [1, 1, 1, 0.9, 0.9, 0.9, 1]).reshape(-1, 3), rng.uniform(-20, 20, (900, 3))]
    )
    before = num_points_in_boxes(points, boxes)
    for motion in random_motions(12):
        after = num_points_in_boxes(motion.points(points), motion.boxes(boxes))
        assert after.tolist() == before.tolist()
    assert before.sum() > 160  # the corners, and some more


def test_headings_by_hand():
    box = np.array([[0, 0, 0, 4, 2, 1.5, 0.5]])
    assert Motion(angle=0.2).boxes(box)[0, 6] == pytest.approx(0.7)
    assert Motion(mirror_y=True).boxes(box)[0, 6] == pytest.approx(-0.5)
    assert Motion(mirror_x=True).boxes(box)[0, 6] == pytest.approx(math.pi - 0.5)
    assert Motion(angle=0.2, mirror_x=True, mirror_y=True).boxes(box)[0, 6] == pytest.approx(0.7 - math.pi)


def test_transforms_compose_and_invert():
    xy = np.random.default_rng(2).uniform(-20, 20, (50, 2))
    first, second = (motion.transform() for motion in random_motions(2))
    np.testing.assert_allclose(applied(composed(second, first), xy), applied(second, applied(first, xy)))
    np.testing.assert_allclose(applied(inverted(first), applied(first, xy)), xy)
    batch = np.stack([first, second])
    np.testing.assert_allclose(inverted(batch)[1], inverted(second))


def test_cells_and_fractions_agree_with_the_grid():
    motion = random_motions(1)[0]
    xy = np.random.default_rng(3).uniform(-10, 10, (50, 2))
    moved = motion.points(np.column_stack([xy, np.zeros(50)]))[:, :2]
    in_map = applied(GRID.to_fractions(), moved)
    np.testing.assert_allclose(applied(to_fractions(motion.transform(), GRID), xy), in_map)
    own = applied(GRID.to_fractions(), xy)
    np.testing.assert_allclose(applied(between_fractions(motion.transform(), GRID), own), in_map)
    cells = applied(to_cells(motion.transform(), GRID, 4), applied(GRID.to_cells(4), xy))
    np.testing.assert_allclose(cells, in_map * [16, 24])


def test_windows_of_a_place_show_it_in_every_view():
    """What ccrop.views.windows does with the transforms: a box around an object follows the object."""
    box = torch.tensor([[[-2.0, 3, 2, 7]]])  # meters, around (0, 5)
    for motion in random_motions(8):
        transform = torch.from_numpy(to_fractions(motion.transform(), GRID)).float()
        x0, y0, x1, y1 = transformed(box, transform[None])[0, 0].tolist()
        middle = applied(GRID.to_fractions(), motion.points(np.array([[0.0, 5, 0]]))[:, :2])[0]
        assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx(middle.tolist(), abs=1e-5)
        # a square of 4 m keeps its size but for the scale; the map is 32 m x 48 m
        assert (x1 - x0, y1 - y0) == pytest.approx((4 * motion.scale / 32, 4 * motion.scale / 48), rel=1e-4)


def warped(feature_map, transform):
    """The map ``(1, C, H, W)`` of a view, resampled from the sweep's by the transform in fractions."""
    rows, columns = feature_map.shape[2:]
    # grid_sample asks, for each place of the result, where to look, in [-1, 1]
    back = inverted(transform)
    y, x = np.meshgrid((np.arange(rows) + 0.5) / rows, (np.arange(columns) + 0.5) / columns, indexing="ij")
    look = applied(back, np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(1, rows, columns, 2) * 2 - 1
    return F.grid_sample(feature_map, torch.from_numpy(look).float(), align_corners=False)


def test_a_feature_map_warped_there_and_back_is_itself():
    rows, columns = np.meshgrid(np.arange(96), np.arange(64), indexing="ij")
    smooth = np.stack([np.sin(rows / 9 + columns / 13), np.cos(columns / 8 - rows / 17)])
    feature_map = torch.from_numpy(smooth).float()[None]
    for motion in random_motions(6):
        transform = between_fractions(motion._replace(shift=(1.0, -1.5, 0)).transform(), GRID)
        there = warped(feature_map, transform)
        back = warped(there, inverted(transform))
        # what stayed in view: around the middle
        inner = (slice(None), slice(None), slice(40, 56), slice(24, 40))
        assert (back[inner] - feature_map[inner]).abs().max() < 0.02
        assert (there[inner] - feature_map[inner]).abs().max() > 0.1


def test_dropout_takes_a_share_of_the_points():
    points = np.arange(40_000).reshape(10_000, 4)
    kept = dropped(points, 0.3, np.random.default_rng(0))
    assert len(kept) == pytest.approx(7000, abs=200)
    assert set(kept[:, 0]) <= set(points[:, 0])
    assert len(dropped(points[:3], 1.0, np.random.default_rng(0))) == 1
    assert len(dropped(points[:0], 0.5, np.random.default_rng(0))) == 0


def test_thinning_takes_points_near_the_centers_alone():
    rng = np.random.default_rng(0)
    points = rng.uniform(-20, 20, (50_000, 4)).astype(np.float32)
    centers = np.array([(5, 5), (-10, 0)])
    kept = thinned(points, centers, 3.0, 0.6, rng)

    def near(each):
        return (np.linalg.norm(each[:, None, :2] - centers, axis=-1) <= 3).any(axis=1)

    assert (~near(kept)).sum() == (~near(points)).sum()
    assert near(kept).sum() / near(points).sum() == pytest.approx(0.4, abs=0.04)
    np.testing.assert_array_equal(thinned(points, np.zeros((0, 2)), 3.0, 0.6, rng), points)


def sample(number=4000):
    points = np.random.default_rng(5).uniform(-15, 15, (number, 4)).astype(np.float32)
    return dict(points=points, index=3, rng=np.random.default_rng(0))


def test_the_step_gives_views_with_their_transforms():
    plain = SweepViews(dropout=0.0, thinning=0)
    before = sample()
    made = plain(before)
    assert made["index"] == 3
    assert "points" in before
    assert made["transforms"].shape == (2, 2, 3)
    for view, transform in zip(made["views"], made["transforms"], strict=True):
        np.testing.assert_allclose(view[:, :2], applied(transform, before["points"][:, :2]), atol=1e-4)
        np.testing.assert_array_equal(view[:, 3], before["points"][:, 3])
    assert abs(made["views"][0] - made["views"][1]).max() > 0.1
    fractions = SweepViews(dropout=0.0, thinning=0, grid=GRID)(sample())["transforms"]
    np.testing.assert_allclose(fractions, between_fractions(made["transforms"], GRID), atol=1e-5)


def test_views_lose_points_and_repeat_for_a_seed():
    made, again = SweepViews()(sample()), SweepViews()(sample())
    assert all(2000 < len(view) < 4000 for view in made["views"])
    for view, other in zip(made["views"], again["views"], strict=True):
        np.testing.assert_array_equal(view, other)
    assert len(SweepViews(num_views=3)(sample(1))["views"]) == 3


@pytest.mark.parametrize("arguments", [dict(dropout=1.0), dict(thinning_share=-0.1)])
def test_refuses_shares_that_are_none(arguments):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\)"):
        SweepViews(**arguments)
