"""Road users in motion: each keeps its speed and its side of the road, bends included."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.simulation.scenes import Layout
from ccrop.projects.lidar_bev.simulation.streets import REACH, Street
from ccrop.projects.lidar_bev.simulation.traffic import Place, Way, always_apart

VEHICLE_SPEEDS, CYCLIST_SPEEDS, WALKING_SPEEDS = (3.0, 12.0), (2.5, 6.0), (0.8, 1.7)  # slowest and fastest, in m/s
STANDING_LANES, STANDING_PEOPLE = 0.2, 0.3  # fractions of the lanes that wait, and of the people who stand
CHECKED = 0.1  # seconds between two checks for collisions


class Drive(NamedTuple):
    """A street in motion around the moving sensor.

    Attributes:
        layout: at time 0, without road users that collide at any time.
        speeds: ``(M,)`` m/s of its road users.
        own_speed: m/s of the sensor's car, which follows the right lane.
    """

    layout: Layout
    speeds: NDArray[np.float64]
    own_speed: float

    def at(self, seconds: float) -> Layout:
        """The layout at a time."""
        users = [
            user._replace(place=moved(user.place, speed, seconds))
            for user, speed in zip(self.layout.users, self.speeds.tolist(), strict=True)
        ]
        return self.layout._replace(users=users)

    def pose(self, seconds: float) -> tuple[float, float, float, float]:
        """x, y, z and heading of the sensor's car on the ground; all 0 at time 0."""
        return own_pose(self.layout.street, self.own_speed, seconds)


def in_motion(layout: Layout, rng: Generator, seconds: float) -> Drive:
    """Give road users speeds, and remove those that would collide within ``seconds`` before or after time 0."""
    places = [user.place for user in layout.users]
    speeds, own_speed = drawn_speeds(places, layout.street, rng)
    times = np.linspace(-seconds, seconds, 2 * round(seconds / CHECKED) + 1).tolist()
    courses = [
        [moved(place, speed, time) for place, speed in zip(places, speeds.tolist(), strict=True)] for time in times
    ]
    own = np.array([own_pose(layout.street, own_speed, time)[:2] for time in times])
    stays = [
        i for i in always_apart(courses, own) if (way := places[i].way) is None or on_road(way, speeds[i] * seconds)
    ]
    return Drive(layout._replace(users=[layout.users[i] for i in stays]), speeds[stays], own_speed)


def drawn_speeds(places: Sequence[Place], street: Street, rng: Generator) -> tuple[NDArray[np.float64], float]:
    """Speeds ``(M,)`` in m/s, and that of the sensor's car, which is its lane's: a lane has one speed, or waits."""
    lanes = np.where(rng.random(2) < STANDING_LANES, 0.0, rng.uniform(*VEHICLE_SPEEDS, 2))
    cyclists = rng.uniform(*CYCLIST_SPEEDS, 2)
    speeds = np.zeros(len(places))
    for i, place in enumerate(places):
        own, walking = rng.uniform(*VEHICLE_SPEEDS), rng.uniform(*WALKING_SPEEDS)
        stands = rng.random() < STANDING_PEOPLE
        if place.way is None:
            continue
        left = int(place.way.t > 0)
        if place.kind == "Pedestrian":
            speeds[i] = 0.0 if stands else walking
        elif place.kind == "Cyclist":
            speeds[i] = cyclists[left]
        else:
            speeds[i] = lanes[left] if place.way.line is street.line else own
    return speeds, float(lanes[0])


def moved(place: Place, speed: float, seconds: float) -> Place:
    """Where a road user is after some time: along its road or straight across, whichever is nearer to its heading."""
    if place.way is None or speed == 0:
        return place
    line, s, t, turn = place.way
    direction = round(turn / (np.pi / 2)) * (np.pi / 2)
    s, t = s + speed * seconds * np.cos(direction), t + speed * seconds * np.sin(direction)
    x, y, ahead = line.at(s, t)
    return Place(place.kind, float(x), float(y), float(wrapped(ahead + turn)), Way(line, s, t, turn))


def own_pose(street: Street, speed: float, seconds: float) -> tuple[float, float, float, float]:
    """See :meth:`Drive.pose`."""
    x, y, direction = (float(each) for each in street.line.at(speed * seconds, -street.half_width / 2))
    return x, y, float(street.terrain(x, y)), direction - float(street.line.at(0.0)[2])


def on_road(way: Way, distance: float) -> bool:
    """Whether the road extends at least ``distance`` meters ahead and behind."""
    return abs(way.s) + distance <= REACH
