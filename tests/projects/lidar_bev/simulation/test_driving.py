import numpy as np
import pytest

from ccrop.projects.lidar_bev.evaluation.polygons import bev_intersections
from ccrop.projects.lidar_bev.simulation.driving import VEHICLE_SPEEDS, drawn_speeds, in_motion, moved
from ccrop.projects.lidar_bev.simulation.scenes import sample_layout
from ccrop.projects.lidar_bev.simulation.streets import Line
from ccrop.projects.lidar_bev.simulation.traffic import OWN_CAR, ROOM, Place, Way

SECONDS = 1.75


@pytest.fixture(scope="module")
def drives():
    rngs = [np.random.default_rng(seed) for seed in range(8)]
    return [in_motion(sample_layout(rng), rng, SECONDS) for rng in rngs]


@pytest.mark.parametrize(
    ("turn", "x", "y"), [(0.1, 15.0, 2.0), (np.pi - 0.1, 5.0, 2.0), (np.pi / 2, 10.0, 7.0), (-1.4, 10.0, -3.0)]
)
def test_along_the_road_or_straight_across(turn: float, x: float, y: float):
    line = Line.through(0.0, 0.0, [0], [0.0])
    place = Place("Pedestrian", 10.0, 2.0, turn, Way(line, 10.0, 2.0, turn))
    after = moved(place, 2.5, 2.0)
    assert (after.x, after.y, after.heading) == pytest.approx((x, y, turn))
    assert moved(after, 2.5, -2.0)[1:4] == pytest.approx(place[1:4])
    assert moved(place._replace(way=None), 2.5, 2.0) == place._replace(way=None)


def test_a_bend_turns_those_who_follow_it():
    radius = 40.0
    line = Line.through(0.0, 0.0, [0, 60], [0.0, 60 / radius])
    place = Place("Car", *(float(each) for each in line.at(10.0, 3.0)), Way(line, 10.0, 3.0, 0.0))
    after = moved(place, 10.0, 2.0)
    assert np.hypot(after.x, after.y - radius) == pytest.approx(radius - 3, abs=0.02)
    assert after.heading - place.heading == pytest.approx(20 / radius, abs=1e-6)


def test_nobody_touches_anybody_at_any_time(drives):
    for drive in drives:
        for time in np.linspace(-SECONDS, SECONDS, 15):
            places = [user.place for user in drive.at(time).users]
            rooms = np.array([[each.x, each.y, 0, *ROOM[each.kind], 1, each.heading] for each in places])
            shared = bev_intersections(rooms, rooms)
            np.fill_diagonal(shared, 0)
            assert shared.max() < 0.3  # between two times at which that is checked
            assert np.hypot(*(rooms[:, :2] - drive.pose(time)[:2]).T).min() > OWN_CAR - 0.5


def test_lanes_have_one_speed_and_the_sensors_car_has_that_of_its_own(drives):
    own_lane = moving = parked = 0
    for drive in drives:
        street = drive.layout.street
        for user, speed in zip(drive.layout.users, drive.speeds, strict=True):
            way = user.place.way
            if way is None:
                assert speed == 0
                parked += 1
            elif way.line is street.line and user.place.kind in ("Car", "Van", "Truck") and way.t < 0:
                assert speed == drive.own_speed
                own_lane += 1
            moving += speed > 0
    assert min(own_lane, parked) > 5
    assert moving > 40


def test_speeds_do_not_depend_on_who_else_is_there():
    layout = sample_layout(np.random.default_rng(3))
    places = [user.place for user in layout.users]
    speeds, own = drawn_speeds(places, layout.street, np.random.default_rng(0))
    fewer, same = drawn_speeds(places[:5], layout.street, np.random.default_rng(0))
    assert own == same == 0 or VEHICLE_SPEEDS[0] <= own <= VEHICLE_SPEEDS[1]
    assert fewer.tolist() == speeds[:5].tolist()


def test_the_sensors_car_follows_its_lane(drives):
    for drive in drives:
        assert drive.pose(0.0) == pytest.approx((0, 0, 0, 0), abs=1e-9)
        x, y, z, _ = drive.pose(1.0)
        assert np.hypot(x, y) == pytest.approx(drive.own_speed, rel=0.1)
        s, t = drive.layout.street.line.nearest(x, y)
        assert t[0] == pytest.approx(-drive.layout.street.half_width / 2, abs=0.05)
        assert s[0] == pytest.approx(drive.own_speed, abs=0.6)
        assert z == pytest.approx(float(drive.layout.street.terrain(x, y)))
