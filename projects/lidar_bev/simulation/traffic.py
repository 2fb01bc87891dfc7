"""Who is on a street: traffic in its lanes, parked rows, people on the sidewalks; no two of them touch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.evaluation.polygons import bev_intersections
from ccrop.projects.lidar_bev.simulation.streets import Line, Street

TRAFFIC_REACH = 85.0
TRUCK_DISTANCE = 18.0
OWN_CAR = 4.5  # meters around the sensor that its own car takes
# e-folding distance of the density of road users in meters: along a straight street more are in sight than in KITTI
THINNING = {"Car": 38.0, "Van": 38.0, "Truck": 40.0, "Pedestrian": 6.5, "Cyclist": 18.0}
# length and width of the largest of a kind, in meters, with room around it
ROOM = {"Car": (5.2, 2.0), "Van": (6.4, 2.3), "Truck": (14.0, 2.8), "Pedestrian": (0.9, 0.9), "Cyclist": (2.1, 0.8)}


class Way(NamedTuple):
    """A place in a road's frame: meters along its center line and to its left, and the angle from its direction."""

    line: Line
    s: float
    t: float
    turn: float


class Place(NamedTuple):
    """Where something of a kind stands: x and y in meters, heading in radians from the x axis.

    ``way`` is the road that it may move along; None for what is parked.
    """

    kind: str
    x: float
    y: float
    heading: float
    way: Way | None = None


def spaced(rng: Generator, low: float, high: float, reach: float) -> NDArray[np.float64]:
    """Positions in [-reach, reach] with uniform gaps between ``low`` and ``high``."""
    gaps = rng.uniform(low, high, int(2 * reach / low) + 2)
    positions = np.cumsum(gaps) - reach - rng.uniform(0, high)
    return positions[abs(positions) <= reach]


def traffic(street: Street, rng: Generator) -> list[Place]:
    """Road users that do not touch each other."""
    places: list[Place] = []

    def add(kind: str, s: float, t: float, turn: float, line: Line = street.line, parked: bool = False) -> None:
        x, y, direction = line.at(s, t)
        way = None if parked else Way(line, float(s), float(t), float(turn))
        places.append(Place(kind, float(x), float(y), float(wrapped(direction + turn)), way))

    kind = iter(rng.choice(["Car", "Van", "Truck"], size=400, p=[0.64, 0.1, 0.26]).tolist())
    busy = rng.uniform(14, 60)
    for side in (-1, 1):
        back = np.pi if side == 1 else 0.0  # traffic keeps to the right
        for s in spaced(rng, 13, 13 + busy, TRAFFIC_REACH):
            if side == 1 or abs(s) > 13:  # nobody stands where the sensor's own car does
                add(next(kind), s, side * street.half_width / 2 + rng.normal(0, 0.2), rng.normal(0, 0.03) + back)
        strip = street.parking[(side + 1) // 2]
        if strip:
            across = strip > 3
            for s in spaced(rng, 2.7 if across else 5.7, 3.4 if across else 7.5, TRAFFIC_REACH):
                middle = side * (street.half_width + strip / 2 + rng.normal(0, 0.05))
                if rng.random() < 0.6 and not street.crossed(*street.line.at(s, middle)[:2], 3)[0]:
                    heading = rng.choice((0, np.pi)) + rng.normal(0, 0.04) + (np.pi / 2 if across else 0)
                    add("Car" if rng.random() < 0.9 or across else "Van", s, middle, heading, parked=True)
        lane = street.half_width - 0.45
        for s in spaced(rng, 8, 50, 60):
            add("Cyclist", s, side * lane, rng.normal(0, 0.08) + back)
        edge = street.edge(side)
        for s in spaced(rng, 3, 20, 60):
            for _ in range(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1))):
                t = side * rng.uniform(edge - street.sidewalk + 1.2, edge + 0.3)
                add("Pedestrian", s + rng.normal(0, 0.7), t, rng.choice((0, np.pi)) + rng.normal(0, 0.3))
    for s in spaced(rng, 12, 40, 50):
        x, y, _ = street.crossing.at(s)
        if abs(street.line.nearest(x, y)[1][0]) > street.edge(1) and rng.random() < 0.5:
            add(next(kind), s, -np.sign(s) * 2, 0.0 if s > 0 else np.pi, street.crossing)
    for _ in range(rng.integers(0, 3)):  # people who cross the road
        t = rng.uniform(-street.half_width, street.half_width)
        add("Pedestrian", rng.uniform(-40, 40), t, rng.choice((-1, 1)) * np.pi / 2)
    return apart(_thinned(places, rng))


def _thinned(places: list[Place], rng: Generator) -> list[Place]:
    """Fewer far ones, and no truck right next to the sensor."""
    distance = np.array([np.hypot(place.x, place.y) for place in places])
    scale = np.array([THINNING[place.kind] for place in places])
    stays = rng.random(len(places)) < np.exp(-(distance - 10).clip(min=0) / scale)
    stays &= (distance > TRUCK_DISTANCE) | np.array([place.kind != "Truck" for place in places])
    return [place for place, chosen in zip(places, stays, strict=True) if chosen]


def apart(places: list[Place]) -> list[Place]:
    """Those that do not touch an earlier one, nor the sensor's own car, by the rooms that they need."""
    return [places[i] for i in always_apart([places], np.zeros((1, 2)))]


def always_apart(courses: Sequence[Sequence[Place]], own: NDArray) -> list[int]:
    """Numbers of the road users that never touch an earlier one that stays, nor the sensor's own car.

    Args:
        courses: T of the places of all road users at one time.
        own: ``(T, 2)`` x and y of the sensor.
    """
    number = len(courses[0])
    touching, clear = np.zeros((number, number), dtype=bool), np.ones(number, dtype=bool)
    for places, middle in zip(courses, own, strict=True):
        rooms = np.array([[place.x, place.y, 0, *ROOM[place.kind], 1, place.heading] for place in places])
        rooms = rooms.reshape(-1, 7)
        touching |= bev_intersections(rooms, rooms) > 0
        clear &= np.hypot(*(rooms[:, :2] - middle).T) > OWN_CAR
    kept: list[int] = []
    for i in np.flatnonzero(clear).tolist():
        if not touching[i, kept].any():
            kept.append(i)
    return kept
