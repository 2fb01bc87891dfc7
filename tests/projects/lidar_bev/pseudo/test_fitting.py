import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import footprints, points_in_boxes
from ccrop.projects.lidar_bev.evaluation.polygons import bev_ious
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.pseudo.fitting import (
    CAR,
    CYCLIST,
    PERSON,
    SIZES,
    TRUCK,
    VAN,
    fitted,
    grown,
    size_classes,
)

GRID = Grid(low=(-40, -40, -3), high=(40, 40, 2), cell=0.5)


def seen(box: np.ndarray, rng: np.random.Generator, density: int = 400) -> np.ndarray:
    """Points ``(P, 4)`` on the sides of a box that face the sensor, from its foot to its top."""
    corners = footprints(box[None])[0]
    found = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        outward = np.array([(end - start)[1], (start - end)[0]])
        if outward @ ((start + end) / 2) < 0:  # faces the sensor at 0
            number = round(density * np.hypot(*(end - start)))
            xy = start + rng.uniform(0, 1, (number, 1)) * (end - start)
            z = box[2] + box[5] * rng.uniform(-0.5, 0.5, number)
            found.append(np.column_stack([xy, z, np.zeros(number)]))
    return np.concatenate(found).astype(np.float32)


def cluster_of(points: np.ndarray) -> np.ndarray:
    """The points' bounds in fractions of the grid, a little too tight as clusters are, a cell at least."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    half = np.maximum(high - low - 0.2, GRID.cell) / 2
    middle = (low + high) / 2 + 40
    return np.concatenate([(middle - half) / 80, (middle + half) / 80, [1.0]])


def test_a_car_from_any_side():
    rng = np.random.default_rng(0)
    cars = [
        np.array([15 * np.cos(a), 15 * np.sin(a), -0.95, 3.9, 1.65, 1.5, a + turn])
        for a in np.linspace(0, 6, 7)
        for turn in (0.4, 1.0, 1.57, 2.3)
    ]
    ious, sure = [], 0
    for car in cars:
        points = seen(car, rng)
        found = fitted(cluster_of(points)[None], points, GRID)
        assert found.source.tolist() == [0]
        ious.append(bev_ious(found.boxes.astype(float), car[None])[0, 0])
        off = (found.boxes[0, 6] - car[6] + np.pi / 2) % np.pi - np.pi / 2
        assert found.boxes[0, 2] == pytest.approx(car[2], abs=0.1)
        if found.heading_weights[0]:
            sure += 1
            assert abs(off) < np.radians(4)
    assert sure == len(cars)
    assert min(ious) > 0.8


def test_a_rear_alone_grows_away_from_the_sensor_along_what_is_hidden():
    car = np.array([20.0, 0, -0.95, 3.9, 1.65, 1.5, 0.0])
    points = seen(car, np.random.default_rng(1))
    found = fitted(cluster_of(points)[None], points, GRID)
    assert found.heading_weights.tolist() == [0]
    assert bev_ious(found.boxes.astype(float), car[None])[0, 0] > 0.9


def test_cyclists_do_not_become_cars():
    """A wheel on either side and a rider between them: as long as a car is wide, narrow above."""
    rng = np.random.default_rng(2)
    frame = seen(np.array([12.0, 5, -1.2, 1.7, 0.5, 0.9, 1.1]), rng, 80)
    rider = seen(np.array([12.0, 5, -0.3, 0.5, 0.5, 0.9, 1.1]), rng, 80)
    points = np.concatenate([frame, rider])
    found = fitted(cluster_of(points)[None], points, GRID)
    assert found.boxes[0, 3:5].tolist() == pytest.approx(SIZES[CYCLIST].tolist(), abs=0.1)
    assert found.heading_weights.tolist() == [0]


def test_points_of_the_ground_and_far_above_do_not_count_and_few_points_give_no_box():
    rng = np.random.default_rng(3)
    car = np.array([10.0, 8, -0.95, 3.9, 1.65, 1.5, 0.5])
    points = seen(car, rng)
    ground = np.column_stack([rng.uniform(5, 15, (900, 2)), np.full(900, -1.68), np.zeros(900)])
    branch = np.column_stack([rng.uniform(8, 12, (300, 2)), np.full(300, 4.5), np.zeros(300)])
    pole = np.array([[-10.0, -10, z, 0] for z in (-1.7, -1, 0, 0.5)])
    sweep = np.concatenate([points, ground, branch, pole]).astype(np.float32)
    clusters = np.stack([cluster_of(points), [0.37, 0.37, 0.38, 0.38, 0.5], [0.9, 0.9, 0.95, 0.95, 0.1]])
    found = fitted(clusters, sweep, GRID)
    assert found.source.tolist() == [0]
    assert bev_ious(found.boxes.astype(float), car[None])[0, 0] > 0.8
    whole = found.boxes + np.array([0, 0, 0, 0.2, 0.2, 0.2, 0])
    assert len(points_in_boxes(points, whole)[0]) > 0.95 * len(points)
    assert fitted(np.zeros((0, 5)), sweep, GRID).boxes.shape == (0, 7)


def test_size_classes():
    rows = [  # longer, shorter side, height, extent of the upper part
        ((0.6, 0.5), 1.7, 0.5, PERSON),
        ((1.7, 0.6), 1.7, 0.6, CYCLIST),
        ((1.7, 0.6), 1.5, 1.4, CAR),  # a rear
        ((1.7, 0.6), 1.0, 0.6, CAR),
        ((3.9, 1.6), 1.5, 2.0, CAR),
        ((3.9, 1.6), 2.1, 2.0, VAN),
        ((5.0, 1.6), 1.5, 2.0, VAN),
        ((8.0, 1.6), 1.5, 2.0, TRUCK),
        ((2.4, 0.6), 3.0, 2.4, TRUCK),
    ]
    sides, height, upper, expected = (np.array(column) for column in zip(*rows, strict=True))
    assert size_classes(sides, height, upper).tolist() == expected.tolist()


def test_the_near_end_stays():
    low, high = np.array([[3.0, -5.0], [-1.0, 4.0]]), np.array([[4.0, -4.5], [1.0, 9.0]])
    new_low, new_high = grown(low, high, np.array([[4.0, 2.0], [3.0, 2.0]]))
    assert new_low.tolist() == [[3.0, -6.5], [-1.5, 4.0]]
    assert new_high.tolist() == [[7.0, -4.5], [1.5, 9.0]]
