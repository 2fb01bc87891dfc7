"""Random streets: a road with traffic, parked rows, pavements with people, and what lines them, on gentle slopes.

A street has its own frame: s along the road, t to its left, the sensor at s = 0 in the right lane.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from ccrop.projects.lidar_bev.boxes import wrapped
from ccrop.projects.lidar_bev.simulation.meshes import Material, Mesh, merged
from ccrop.projects.lidar_bev.simulation.shapes import ROAD_USERS, pole, tree, wall

REACH = 125.0  # metres of ground to each side
TRAFFIC_REACH = 85.0
# of a box around what it holds, in metres: annotators leave some, and ranges are noisy
MARGIN = 0.04
TRUCK_DISTANCE = 18.0
# e-folding distance of the density of road users in metres: along a straight street more are in sight than in KITTI
THINNING = {"Car": 38.0, "Van": 38.0, "Truck": 40.0, "Pedestrian": 6.5, "Cyclist": 18.0}
NOTHING = -1  # the object of triangles that belong to none


class Scene(NamedTuple):
    """A street as the sensor's frame has it, the ground below the sensor at z = -height.

    Attributes:
        mesh: all triangles.
        owners: ``(T,)`` int64, the object of each triangle, or ``NOTHING``.
        albedos: ``(T,)`` share of light that a triangle returns.
        names: classes of the objects.
        boxes: ``(M, 7)``, see :mod:`ccrop.projects.lidar_bev.boxes`.
    """

    mesh: Mesh
    owners: NDArray[np.int64]
    albedos: NDArray[np.float64]
    names: list[str]
    boxes: NDArray[np.float64]


class Place(NamedTuple):
    """Where something of a kind stands in the street's frame; heading in radians from the road's direction."""

    kind: str
    s: float
    t: float
    heading: float


class Street(NamedTuple):
    """The parameters of a street, in metres.

    Attributes:
        half_width: of its two lanes, kerb to middle.
        parking: ``(2,)`` width of the strip of parked cars to the right and left; 0 for none.
        pavement: width of the pavements.
        kerb: height of the pavements.
        crossing: s of a crossing road's middle.
        waves: ``(W, 4)`` of the ground: amplitude, two wave numbers in 1 / m, phase.
    """

    half_width: float
    parking: NDArray[np.float64]
    pavement: float
    kerb: float
    crossing: float
    waves: NDArray[np.float64]

    @classmethod
    def sample(cls, rng: Generator) -> "Street":
        wave_numbers = 2 * np.pi / rng.uniform(50, 160, 3)
        angles = rng.uniform(0, 2 * np.pi, 3)
        waves = np.stack(
            [rng.uniform(0, 0.25, 3), wave_numbers * np.cos(angles), wave_numbers * np.sin(angles), angles], axis=1
        )
        parking = np.where(rng.random(2) < 0.65, np.where(rng.random(2) < 0.8, 2.2, 5.0), 0.0)
        crossing = rng.choice((-1, 1)) * rng.uniform(12, 70)
        return cls(rng.uniform(3.6, 6.0), parking, rng.uniform(1.8, 5.0), rng.uniform(0.08, 0.16), crossing, waves)

    def edge(self, side: int) -> float:
        """Distance of the pavement's outer edge from the middle; side 1 is the left."""
        return self.half_width + self.parking[(side + 1) // 2] + self.pavement

    def ground(self, s: ArrayLike, t: ArrayLike) -> NDArray[np.float64]:
        """Height of the ground; 0 and level where the sensor's car stands."""
        s, t = np.asarray(s, dtype=np.float64), np.asarray(t, dtype=np.float64)
        height = np.zeros(np.broadcast_shapes(s.shape, t.shape))
        for amplitude, along, across, phase in self.waves:
            at = along * s + across * (t + self.half_width / 2) + phase
            height += amplitude * (np.sin(at) - np.sin(phase) - np.cos(phase) * (at - phase))
        off_road = np.where(t > 0, t - self.half_width - self.parking[1], -t - self.half_width - self.parking[0])
        raised = self.kerb * (off_road > 0) * (abs(s - self.crossing) > 4)
        return height.clip(-3, 3) + raised


def sample_scene(rng: Generator, sensor_height: float) -> Scene:
    """A random street around a sensor ``sensor_height`` metres above the ground."""
    street = Street.sample(rng)
    yaw = rng.normal(0, np.radians(4))  # of the road, seen from the car
    origin = np.array([0.0, -street.half_width / 2])
    cos, sin = np.cos(yaw), np.sin(yaw)

    def to_sensor(mesh: Mesh, s: float = 0.0, t: float = 0.0, z: float = 0.0, heading: float = 0.0) -> Mesh:
        s, t = s - origin[0], t - origin[1]
        return mesh.placed(cos * s - sin * t, sin * s + cos * t, z - sensor_height, heading + yaw)

    meshes, owners, albedos, names, boxes = [], [], [], [], []

    def add(mesh: Mesh, owner: int, albedo: float | NDArray) -> None:
        meshes.append(mesh)
        owners.append(np.full(len(mesh.triangles), owner))
        albedos.append(np.broadcast_to(albedo, len(mesh.triangles)))

    ground = _ground_mesh(street)
    add(to_sensor(ground), NOTHING, ALBEDOS[ground.materials])
    for mesh, s, t, heading in _roadside(street, rng):
        placed = to_sensor(mesh, s, t, float(street.ground(s, t)), heading)
        add(placed, NOTHING, ALBEDOS[mesh.materials] * rng.uniform(0.6, 1.3))
    for place in _traffic(street, rng):
        shape = ROAD_USERS[place.kind](rng)
        z = float(street.ground(place.s, place.t))
        albedo = ALBEDOS[shape.mesh.materials] * rng.uniform(0.5, 1.4)
        painted = shape.mesh.materials == Material.PAINT
        albedo = np.where(painted, rng.choice((0.1, 0.2, 0.3, 0.5)) * rng.uniform(0.7, 1.3), albedo)
        placed = to_sensor(shape.mesh, place.s, place.t, z, place.heading)
        add(placed, len(names), albedo)
        s, t = place.s - origin[0], place.t - origin[1]
        length, width, height = np.add(shape.size, (2 * MARGIN, 2 * MARGIN, MARGIN))
        middle = (cos * s - sin * t, sin * s + cos * t, z - sensor_height + height / 2)
        boxes.append([*middle, length, width, height, wrapped(np.float64(place.heading + yaw))])
        names.append(place.kind)
    table = np.array(boxes, dtype=np.float64).reshape(-1, 7)
    return Scene(merged(meshes), np.concatenate(owners), np.concatenate(albedos), names, table)


# how much light each material returns, in the order of Material
ALBEDOS = np.array([0.25, 0.3, 0.4, 0.3, 0.08, 0.08, 0.4, 0.5, 0.3, 0.45, 0.1])


def _ground_mesh(street: Street) -> Mesh:
    """A grid whose lines run along the kerbs, asphalt between them and on the crossing road."""
    kerbs = np.array([-street.half_width - street.parking[0], street.half_width + street.parking[1]])
    s = np.unique(np.concatenate([np.arange(-REACH, REACH + 1, 2.5), street.crossing + np.array([-4.05, -4, 4, 4.05])]))
    t = np.unique(np.concatenate([np.arange(-REACH, REACH + 1, 2.5), kerbs, kerbs + np.array([-0.03, 0.03])]))
    grid_s, grid_t = np.meshgrid(s, t, indexing="ij")
    vertices = np.stack([grid_s, grid_t, street.ground(grid_s, grid_t)], axis=-1).reshape(-1, 3)
    first = (np.arange(len(s) - 1)[:, None] * len(t) + np.arange(len(t) - 1)).ravel()
    triangles = np.concatenate(
        [
            np.stack([first, first + len(t), first + len(t) + 1], axis=1),
            np.stack([first, first + len(t) + 1, first + 1], axis=1),
        ]
    )
    middle = vertices[triangles].mean(axis=1)
    paved = (middle[:, 1] > kerbs[0]) & (middle[:, 1] < kerbs[1]) | (abs(middle[:, 0] - street.crossing) < 4)
    walked = (middle[:, 1] > -street.edge(-1)) & (middle[:, 1] < street.edge(1))
    materials = np.where(paved, Material.ASPHALT, np.where(walked, Material.CONCRETE, Material.GRASS))
    return Mesh(vertices, triangles, materials)


def _spaced(rng: Generator, low: float, high: float, reach: float) -> NDArray[np.float64]:
    """Positions in [-reach, reach] with uniform gaps between ``low`` and ``high``."""
    gaps = rng.uniform(low, high, int(2 * reach / low) + 2)
    positions = np.cumsum(gaps) - reach - rng.uniform(0, high)
    return positions[abs(positions) <= reach]


def _roadside(street: Street, rng: Generator) -> list[tuple[Mesh, float, float, float]]:
    """Meshes with s, t and heading: house fronts, walls and hedges with gaps, poles and trees."""
    found = []
    lined = rng.random() < 0.5
    for side in (-1, 1):
        edge, kerb = street.edge(side), street.edge(side) - street.pavement
        front = edge + rng.uniform(0.5, 9)
        s = -REACH
        while s < REACH:
            length = rng.uniform(6, 26)
            middle = s + length / 2
            if abs(middle - street.crossing) > length / 2 + 5 and rng.random() < 0.8:
                depth, setback = rng.uniform(6, 12), rng.uniform(0, 2)
                house = wall(length, depth, rng.uniform(4, 14))
                found.append((house, middle, side * (front + setback + depth / 2), 0.0))
            # the end of a garden towards the pavement
            draw = rng.random()
            if front - edge > 2 and draw < 0.5 and abs(middle - street.crossing) > length / 2 + 5:
                low = wall(length, 0.25, rng.uniform(0.6, 1.8))
                hedge = wall(length, rng.uniform(0.6, 1.0), rng.uniform(0.9, 2.2), Material.FOLIAGE)
                found.append((hedge if draw < 0.3 else low, middle, side * (edge + 0.7), 0.0))
            s += length + (0.0 if rng.random() < 0.6 else rng.uniform(2, 12))
        found += [(pole(rng), s, side * (kerb + 0.4), 0.0) for s in _spaced(rng, 12, 34, 100)]
        if lined:
            found += [(tree(rng), s, side * (kerb + 0.8), 0.0) for s in _spaced(rng, 7, 22, 100)]
    return found


def _traffic(street: Street, rng: Generator) -> list[Place]:
    """Road users that do not touch each other."""
    places = []
    kinds = rng.choice(["Car", "Van", "Truck"], size=400, p=[0.64, 0.1, 0.26])
    kind = iter(kinds.tolist())
    busy = rng.uniform(14, 60)
    for side in (-1, 1):
        for s in _spaced(rng, 13, 13 + busy, TRAFFIC_REACH):
            # nobody stands where the sensor's own car does
            if side == 1 or abs(s) > 13:
                heading = rng.normal(0, 0.03) + (np.pi if side == 1 else 0)
                places.append(Place(next(kind), s, side * street.half_width / 2 + rng.normal(0, 0.2), heading))
        strip = street.parking[(side + 1) // 2]
        if strip:
            across = strip > 3
            for s in _spaced(rng, 2.7 if across else 5.7, 3.4 if across else 7.5, TRAFFIC_REACH):
                if rng.random() < 0.6 and abs(s - street.crossing) > 7:
                    heading = rng.choice((0, np.pi)) + rng.normal(0, 0.04) + (np.pi / 2 if across else 0)
                    middle = street.half_width + strip / 2 + rng.normal(0, 0.05)
                    places.append(Place("Car" if rng.random() < 0.9 or across else "Van", s, side * middle, heading))
    # crossing road
    for t in _spaced(rng, 12, 40, 50):
        if abs(t) > street.edge(1) and rng.random() < 0.5:
            places.append(Place(next(kind), street.crossing + np.sign(t) * 2, t, np.pi / 2 * np.sign(t)))
    for side in (-1, 1):
        lane = street.half_width - 0.45
        for s in _spaced(rng, 8, 50, 60):
            places.append(Place("Cyclist", s, side * lane, rng.normal(0, 0.08) + (np.pi if side == 1 else 0)))
        edge = street.edge(side)
        for s in _spaced(rng, 3, 20, 60):
            for _ in range(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1))):
                t = side * rng.uniform(edge - street.pavement + 1.2, edge + 0.3)
                along = rng.choice((0, np.pi)) + rng.normal(0, 0.3)
                places.append(Place("Pedestrian", s + rng.normal(0, 0.7), t, along))
    for _ in range(rng.integers(0, 3)):  # people who cross the road
        t = rng.uniform(-street.half_width, street.half_width)
        places.append(Place("Pedestrian", rng.uniform(-40, 40), t, rng.choice((-1, 1)) * np.pi / 2))
    return _apart(_thinned(places, rng))


def _thinned(places: list[Place], rng: Generator) -> list[Place]:
    """Fewer far ones, and no truck right beside the sensor."""
    distance = np.array([np.hypot(place.s, place.t) for place in places])
    scale = np.array([THINNING[place.kind] for place in places])
    stays = rng.random(len(places)) < np.exp(-(distance - 10).clip(min=0) / scale)
    stays &= (distance > TRUCK_DISTANCE) | np.array([place.kind != "Truck" for place in places])
    return [place for place, chosen in zip(places, stays, strict=True) if chosen]


ROOM = {"Car": (2.6, 1.0), "Van": (3.2, 1.15), "Truck": (7.0, 1.4), "Pedestrian": (0.45, 0.45), "Cyclist": (1.05, 0.4)}


def _apart(places: list[Place]) -> list[Place]:
    """Those that do not touch an earlier one, nor the sensor's own car, by the bounds of their footprints."""
    room = np.array([ROOM[place.kind] for place in places])
    at = np.array([(place.s, place.t) for place in places])
    heading = np.array([place.heading for place in places])
    cos, sin = abs(np.cos(heading)), abs(np.sin(heading))
    half = np.stack([cos * room[:, 0] + sin * room[:, 1], sin * room[:, 0] + cos * room[:, 1]], axis=1)
    touching = (abs(at[:, None] - at) < half[:, None] + half).all(axis=-1)
    kept: list[int] = []
    for i in range(len(places)):
        if not touching[i, kept].any() and np.hypot(*at[i]) > 4.5:
            kept.append(i)
    return [places[i] for i in kept]
