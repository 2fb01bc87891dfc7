"""Scans of a made-up world: a sphere of 40 m around the origin, and boxes in it."""

import numpy as np
import pytest

from ccrop.projects.lidar_bev.pseudo.motion import OtherSweep, box_motion, motion_scores

RADIUS = 40.0
CAR = np.array([[8.0, -2.0, -1.5], [12.0, 2.0, 0.5]])  # its low and high corner; azimuths on both sides of 0
TURN = np.radians(np.arange(0, 360, 0.4))
ELEVATIONS = np.radians(np.arange(-14.0, 5.0, 0.8))


def scan(origin: tuple[float, ...], *boxes: np.ndarray) -> OtherSweep:
    """What rays from a place meet first, in the world's frame."""
    azimuth, elevation = (each.ravel() for each in np.meshgrid(TURN, ELEVATIONS))
    level = np.cos(elevation)
    rays = np.column_stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
    start = np.array(origin)
    along = rays @ start
    distance = -along + np.sqrt(along**2 + RADIUS**2 - start @ start)
    rays = np.where(abs(rays) < 1e-9, 1e-9, rays)
    for low, high in boxes:
        ends = np.sort([(low - start) / rays, (high - start) / rays], axis=0)
        enters, leaves = ends[0].max(axis=1), ends[1].min(axis=1)
        distance = np.where((enters < leaves) & (enters > 0), np.minimum(distance, enters), distance)
    return OtherSweep(start + distance[:, None] * rays, start)


def on(box: np.ndarray, sweep: OtherSweep) -> np.ndarray:
    return sweep.points[((sweep.points >= box[0] - 0.01) & (sweep.points <= box[1] + 0.01)).all(axis=1)]


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (-6.0, 1.0, 0.0), (3.0, 9.0, 0.3), (25.0, -2.0, 0.0)])
def test_a_world_that_stands_still_has_not_moved(origin: tuple[float, ...]):
    here, there = scan((0.0, 0.0, 0.0), CAR), scan(origin, CAR)
    scores = motion_scores(here.points, [there])
    assert np.isfinite(scores).mean() > 0.5
    assert np.nanmean(scores) < 0.01
    assert np.nanmean(motion_scores(on(CAR, here), [there, here])) < 0.05


@pytest.mark.parametrize("step", [(0.0, 6.0, 0.0), (0.0, -6.0, 0.0), (9.0, 0.0, 0.0), (5.0, 5.0, 0.0)])
@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (3.0, -1.0, 0.0)])
def test_what_drove_away_has_moved(step: tuple[float, ...], origin: tuple[float, ...]):
    points = on(CAR, scan((0.0, 0.0, 0.0), CAR))
    assert len(points) > 200
    scores = motion_scores(points, [scan(origin, CAR + step)])
    assert np.nanmin(scores) == 1
    assert np.isfinite(scores).mean() > 0.95


def test_a_hidden_place_says_nothing():
    """A wall stands before the place in the other sweep; whether the car still stands behind it cannot be told."""
    points = on(CAR, scan((0.0, 0.0, 0.0), CAR))
    wall = np.array([[4.0, -6.0, -3.0], [4.5, 6.0, 3.0]])
    for car in (CAR, CAR + np.array([0.0, 20.0, 0.0])):
        assert np.isnan(motion_scores(points, [scan((0.0, 0.0, 0.0), car, wall)])).all()
    box = np.array([[10.0, 0.0, -0.5, 5.0, 5.0, 3.0, 0.0]])
    assert box_motion(box, points, [scan((0.0, 0.0, 0.0), wall)]).tolist() == [0]


def test_where_no_beam_points_nothing_is_said():
    points = on(CAR, scan((0.0, 0.0, 0.0), CAR))
    whole = scan((0.0, 0.0, 0.0))
    behind = whole._replace(points=whole.points[whole.points[:, 0] < 0])
    assert np.isnan(motion_scores(points, [behind])).all()
    assert np.isnan(motion_scores(points, [])).all()
    assert np.isnan(motion_scores(points, [whole._replace(points=np.zeros((0, 3)))])).all()
    assert motion_scores(np.zeros((0, 3)), [whole]).shape == (0,)


def test_the_score_is_the_fraction_of_the_sweeps_that_could_see():
    points = on(CAR, scan((0.0, 0.0, 0.0), CAR))
    still, gone = scan((0.0, 0.0, 0.0), CAR), scan((0.0, 0.0, 0.0))
    hidden = scan((0.0, 0.0, 0.0), np.array([[4.0, -6.0, -3.0], [4.5, 6.0, 3.0]]))
    assert np.unique(motion_scores(points, [still, gone, gone, hidden])).tolist() == pytest.approx([2 / 3])


def test_a_return_of_the_same_surface_is_half_a_meter_away_at_most():
    """One point straight ahead at 10 m, and one return on its line of sight."""
    point = np.array([[10.0, 0.0, 0.0]])
    rows = [(10.4, 0.0), (9.6, 0.0), (10.6, 1.0), (9.4, np.nan)]
    for distance, score in rows:
        other = OtherSweep(np.array([[distance, 0.0, 0.0]]), np.zeros(3))
        assert motion_scores(point, [other])[0] == pytest.approx(score, nan_ok=True)


def test_a_box_has_the_mean_of_its_points_above_the_ground():
    """Two points of a box at (10, 0): one stands, one is seen through; one on the ground, one in no box."""
    points = np.array([[10.0, 0.0, 0.0], [10.0, 1.0, 0.0], [10.0, -1.0, -0.9], [10.0, 5.0, 0.0]])
    returns = np.array([[10.0, 0.0, 0.0], [30.0, 3.0, 0.0], [30.0, -3.0, -2.7], [30.0, 15.0, 0.0]])
    boxes = np.array([[10.0, 0.0, 0.0, 3.0, 3.0, 2.0, 0.3], [-10.0, 0.0, 0.0, 3.0, 3.0, 2.0, 0.0]])
    assert box_motion(boxes, points, [OtherSweep(returns, np.zeros(3))]).tolist() == [0.5, 0]
