"""Center lines and streets: where things stand along a road that turns, bends and is crossed by another.

A road has its own frame: s along its center line, t to its left. The world's frame is the sensor's, in meters, with the
ground below the sensor at z = 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

Floats = Sequence[float] | NDArray[np.floating]

STEP = 1.0  # meters between two points of a center line
REACH = 125.0  # meters of road to each side, and of ground around
BEND_RADIUS = (28.0, 80.0)  # meters, of the center line; the inner one leaves room for the widest sidewalk
MAX_BEND = np.radians(75)  # a street never turns back onto itself
CROSSING_HALF_WIDTH = 4.0


class Line(NamedTuple):
    """A center line of straight parts and arcs, sampled every ``STEP`` meters.

    Attributes:
        s: ``(K,)`` meters along the line, rising.
        x, y: ``(K,)`` meters.
        direction: ``(K,)`` radians, not wrapped.
    """

    s: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    direction: NDArray[np.float64]

    @classmethod
    def through(cls, x: ArrayLike, y: ArrayLike, knots: Floats, directions: Floats) -> "Line":
        """The line that passes (x, y) at s = 0.

        Args:
            knots: rising values of s in meters, between which ``directions`` in radians change linearly: arcs.
        """
        s = np.arange(-REACH, REACH + STEP, STEP, dtype=np.float64)
        middle = np.interp(s[:-1] + STEP / 2, knots, directions)
        steps = STEP * np.stack([np.cos(middle), np.sin(middle)])
        path = np.concatenate([np.zeros((2, 1)), steps.cumsum(axis=1)], axis=1)
        path += np.array([[x], [y]]) - path[:, [np.searchsorted(s, 0.0)]]
        return cls(s, path[0], path[1], np.interp(s, knots, directions))

    def at(self, s: ArrayLike, t: ArrayLike = 0.0) -> tuple[NDArray, NDArray, NDArray]:
        """x and y of places of the road's frame, and the line's direction there."""
        s, t = np.asarray(s), np.asarray(t)
        x, y, direction = (np.interp(s, self.s, each) for each in (self.x, self.y, self.direction))
        return x - t * np.sin(direction), y + t * np.cos(direction), direction

    def nearest(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray, NDArray]:
        """s of the sampled point nearest to each place ``(N,)``, and t, the distance from the tangent there."""
        x, y = np.atleast_1d(x), np.atleast_1d(y)
        place = ((x[:, None] - self.x) ** 2 + (y[:, None] - self.y) ** 2).argmin(axis=1)
        dx, dy, direction = x - self.x[place], y - self.y[place], self.direction[place]
        return self.s[place], np.cos(direction) * dy - np.sin(direction) * dx


class Street(NamedTuple):
    """The parameters of a street, in meters.

    Attributes:
        line: its center line; the sensor stands at s = 0 in the right lane.
        half_width: of its two lanes, curb to middle.
        parking: ``(2,)`` width of the strip of parked cars to the right and left; 0 for none.
        sidewalk: width of the sidewalks.
        curb: height of the sidewalks.
        crossing: center line of a straight road that crosses it, from its middle on to both sides.
        waves: ``(W, 4)`` of the ground: amplitude, two wave numbers in 1 / m, phase.
    """

    line: Line
    half_width: float
    parking: NDArray[np.float64]
    sidewalk: float
    curb: float
    crossing: Line
    waves: NDArray[np.float64]

    @classmethod
    def sample(cls, rng: Generator) -> "Street":
        """A street of any direction, which bends ahead of the sensor, behind it, or not at all."""
        wave_numbers = 2 * np.pi / rng.uniform(50, 160, 3)
        angles = rng.uniform(0, 2 * np.pi, 3)
        waves = np.stack(
            [rng.uniform(0, 0.25, 3), wave_numbers * np.cos(angles), wave_numbers * np.sin(angles), angles], axis=1
        )
        parking = np.where(rng.random(2) < 0.65, np.where(rng.random(2) < 0.8, 2.2, 5.0), 0.0)
        half_width = rng.uniform(3.6, 6.0)
        yaw = rng.uniform(-np.pi, np.pi)
        turns = rng.uniform(-MAX_BEND, MAX_BEND, 2) * (rng.random(2) < 0.5)
        starts = rng.uniform(8, 45, 2)
        ends = starts + abs(turns) * rng.uniform(*BEND_RADIUS, 2) + STEP
        knots = [-ends[0], -starts[0], starts[1], ends[1]]
        line = Line.through(
            -np.sin(yaw) * half_width / 2,
            np.cos(yaw) * half_width / 2,
            knots,
            yaw + np.array([turns[0], 0, 0, turns[1]]),
        )
        x, y, along = line.at(rng.choice((-1, 1)) * rng.uniform(12, 70))
        across = along + np.pi / 2 + rng.uniform(-np.pi / 6, np.pi / 6)
        crossing = Line.through(x, y, [0], [float(across)])
        return cls(line, half_width, parking, rng.uniform(1.8, 5.0), rng.uniform(0.08, 0.16), crossing, waves)

    def edge(self, side: int) -> float:
        """Distance of the sidewalk's outer edge from the middle; side 1 is the left."""
        return self.half_width + self.parking[(side + 1) // 2] + self.sidewalk

    def terrain(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Height of the ground without sidewalks; 0 and level at the sensor."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        height = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        for amplitude, along, across, phase in self.waves:
            at = along * x + across * y + phase
            height += amplitude * (np.sin(at) - np.sin(phase) - np.cos(phase) * (at - phase))
        return height.clip(-3, 3)

    def ground(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Height ``(N,)`` of the ground at places ``(N,)``, on the sidewalks a curb higher than on the roads."""
        t = self.line.nearest(x, y)[1]
        curbs = self.half_width + self.parking[(t > 0).astype(int)]
        raised = (abs(t) > curbs) & ~self.crossed(x, y)
        return self.terrain(x, y) + self.curb * raised

    def crossed(self, x: ArrayLike, y: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
        """Which places ``(N,)`` lie on the crossing road, or less than ``margin`` from it."""
        return abs(self.crossing.nearest(x, y)[1]) <= CROSSING_HALF_WIDTH + margin
