import numpy as np
import pytest

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.simulation.streets import BEND_RADIUS, MAX_BEND, Line, Street
from ccrop.projects.lidar_bev.simulation.traffic import Place, apart, traffic


def test_a_straight_line():
    line = Line.through(3.0, -2.0, [0], [np.pi / 6])
    s, t = np.array([0.0, 10.0, -40.0]), np.array([0.0, 2.0, -1.0])
    x, y, direction = line.at(s, t)
    cos, sin = np.sqrt(3) / 2, 0.5
    np.testing.assert_allclose(x, 3 + s * cos - t * sin)
    np.testing.assert_allclose(y, -2 + s * sin + t * cos)
    np.testing.assert_allclose(direction, np.pi / 6)
    np.testing.assert_allclose(line.nearest(x, y)[0], s)
    np.testing.assert_allclose(line.nearest(x, y)[1], t, atol=1e-9)


def test_an_arc_is_a_circle():
    radius = 40.0
    line = Line.through(0.0, 0.0, [0, 60], [0.0, 60 / radius])
    s = np.linspace(0, 60, 31)
    x, y, direction = line.at(s, 5.0)  # 5 m nearer to the center at (0, 40)
    np.testing.assert_allclose(np.hypot(x, y - radius), radius - 5, atol=0.02)
    np.testing.assert_allclose(x, (radius - 5) * np.sin(s / radius), atol=0.02)
    np.testing.assert_allclose(direction, s / radius, atol=1e-9)
    np.testing.assert_allclose(line.nearest(x, y)[1], 5.0, atol=0.02)


def test_streets_turn_bend_and_are_crossed():
    streets = [Street.sample(np.random.default_rng(seed)) for seed in range(400)]
    yaws = np.array([street.line.at(0.0)[2] for street in streets])
    # uniform: the mean of n unit vectors is shorter than 0.1 with probability 1 - exp(-0.01 n), and so for 2 yaw, 4 yaw
    for times in (1, 2, 4):
        assert abs(np.exp(1j * times * yaws).mean()) < 0.1
    bends = np.array([np.ptp(street.line.direction) for street in streets])
    assert (bends == 0).mean() == pytest.approx(0.25, abs=0.07)
    assert bends.max() > np.radians(60)
    for street in streets:
        assert abs(street.line.direction - street.line.at(0.0)[2]).max() <= MAX_BEND
        assert abs(np.diff(street.line.direction)).max() <= 1 / BEND_RADIUS[0] + 1e-9  # steps of a meter
        angle = street.crossing.direction[0] - street.line.at(street.line.nearest(*crossing_of(street))[0])[2][0]
        assert abs(abs(wrapped(angle)) - np.pi / 2) <= np.pi / 6 + 0.05


def crossing_of(street: Street) -> tuple[float, float]:
    return tuple(float(value) for value in street.crossing.at(0.0)[:2])


def test_vehicles_head_everywhere():
    axes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        axes += [np.exp(2j * place.heading) for place in traffic(Street.sample(rng), rng) if place.kind != "Pedestrian"]
    assert len(axes) > 400
    assert abs(np.mean(axes)) < 0.25  # 0.9 and more along one axis


def test_those_that_touch_an_earlier_one_go():
    car, beside, turned = Place("Car", 10, 0, 0.0), Place("Car", 10, 2.1, 0.0), Place("Car", 10, -3.3, np.pi / 2)
    sensor, behind = Place("Pedestrian", 3, 3, 0.0), Place("Car", 15.3, 0, 0.0)
    assert apart([sensor, car, beside, turned, behind]) == [car, beside, behind]
    # their bounds touch, they do not
    diagonal = [Place("Car", 10, 10, np.pi / 4), Place("Car", 12, 8, np.pi / 4)]
    assert apart(diagonal) == diagonal
    assert apart([]) == []
