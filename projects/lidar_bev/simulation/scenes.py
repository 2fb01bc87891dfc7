"""Random scenes: a street with its road users and what lines it, on gentle slopes."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.boxes import footprints, wrapped
from ccrop.projects.lidar_bev.simulation.meshes import Material, Mesh, merged
from ccrop.projects.lidar_bev.simulation.shapes import ROAD_USERS, Shape, pole, tree, wall
from ccrop.projects.lidar_bev.simulation.streets import CROSSING_HALF_WIDTH, REACH, Street
from ccrop.projects.lidar_bev.simulation.traffic import Place, spaced, traffic

# of a box around its object, in meters: annotators leave some, and ranges are noisy
MARGIN = 0.04
SUNK = 0.05  # meters, of the terrain below the roads on it
NOTHING = -1  # the object index of triangles that belong to no object
# fraction of light that each material returns, in the order of Material
ALBEDOS = np.array([0.25, 0.3, 0.4, 0.3, 0.08, 0.08, 0.4, 0.5, 0.3, 0.45, 0.1])


class Scene(NamedTuple):
    """A street in the sensor's frame, with the ground below the sensor at z = -height.

    Attributes:
        mesh: all triangles.
        owners: ``(T,)`` int64, the object of each triangle, or ``NOTHING``.
        albedos: ``(T,)`` fraction of light that a triangle returns.
        names: classes of the objects.
        boxes: ``(M, 7)``, see :mod:`ccrop.projects.lidar_bev.boxes`.
    """

    mesh: Mesh
    owners: NDArray[np.int64]
    albedos: NDArray[np.float64]
    names: list[str]
    boxes: NDArray[np.float64]


class RoadUser(NamedTuple):
    """Who is on a street: the place, the shape, and the albedos ``(T,)`` of its triangles."""

    place: Place
    shape: Shape
    albedos: NDArray[np.float64]


class Layout(NamedTuple):
    """A street in its own frame, the ground at x = y = 0 at z = 0.

    Attributes:
        background: what never moves, with the albedos ``(T,)`` of its triangles.
        users: those who do, or may.
    """

    street: Street
    background: Mesh
    albedos: NDArray[np.float64]
    users: list[RoadUser]

    def seen_from(self, sensor_height: float, pose: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)) -> Scene:
        """The scene around a sensor ``sensor_height`` meters above x, y, z of ``pose``, turned by its heading."""
        x, y, z, heading = pose
        cos, sin = np.cos(heading), np.sin(heading)
        offset = (-cos * x - sin * y, sin * x - cos * y, -z - sensor_height)
        meshes, boxes = [self.background], []
        for place, shape, _ in self.users:
            at = place.x, place.y, float(self.street.ground(place.x, place.y)[0])
            meshes.append(shape.mesh.placed(*at, place.heading))
            length, width, height = np.add(shape.size, (2 * MARGIN, 2 * MARGIN, MARGIN))
            middle = cos * at[0] + sin * at[1], cos * at[1] - sin * at[0], at[2] + height / 2
            boxes.append([*np.add(middle, offset), length, width, height, place.heading - heading])
        placed = np.array(boxes, dtype=np.float64).reshape(-1, 7)
        placed[:, 6] = wrapped(placed[:, 6])
        counts = [len(mesh.triangles) for mesh in meshes]
        return Scene(
            merged(meshes).placed(*offset, -heading),
            np.repeat(np.arange(len(meshes)) - 1, counts),
            np.concatenate([self.albedos, *(user.albedos for user in self.users)]),
            [user.place.kind for user in self.users],
            placed,
        )


def sample_scene(rng: Generator, sensor_height: float) -> Scene:
    """A random street of any direction around a sensor ``sensor_height`` meters above the ground."""
    return sample_layout(rng).seen_from(sensor_height)


def sample_layout(rng: Generator) -> Layout:
    """A random street of any direction, which is the first that is drawn: :meth:`.Street.sample` gives the same."""
    street = Street.sample(rng)
    ground = ground_mesh(street)
    meshes, albedos = [ground], [ALBEDOS[ground.materials]]
    for mesh, x, y, heading in _roadside(street, rng):
        meshes.append(mesh.placed(x, y, float(street.ground(x, y)[0]), heading))
        albedos.append(ALBEDOS[mesh.materials] * rng.uniform(0.6, 1.3))
    users = []
    for place in traffic(street, rng):
        shape = ROAD_USERS[place.kind](rng)
        albedo = ALBEDOS[shape.mesh.materials] * rng.uniform(0.5, 1.4)
        painted = shape.mesh.materials == Material.PAINT
        albedo = np.where(painted, rng.choice((0.1, 0.2, 0.3, 0.5)) * rng.uniform(0.7, 1.3), albedo)
        users.append(RoadUser(place, shape, albedo))
    return Layout(street, merged(meshes), np.concatenate(albedos), users)


def ground_mesh(street: Street) -> Mesh:
    """Terrain of grass, and on it the crossing road and the street, whose grid has lines along the curbs."""
    steps = np.arange(-REACH, REACH + 1, 2.5)
    x, y = np.meshgrid(steps, steps, indexing="ij")
    grass = _surface(x, y, street.terrain(x, y) - SUNK, Material.GRASS)

    half = CROSSING_HALF_WIDTH
    x, y, _ = street.crossing.at(*np.meshgrid(steps, [-half, 0, half], indexing="ij"))
    road = _surface(x, y, street.terrain(x, y), Material.ASPHALT)

    curbs = np.array([-1, 1]) * (street.half_width + street.parking)
    inner, outer = curbs + np.array([0.03, -0.03]), curbs + np.array([-0.03, 0.03])
    across = np.sort([*np.linspace(inner[0], inner[1], 9), *outer, -street.edge(-1), street.edge(1)])
    s, t = np.meshgrid(np.arange(-REACH, REACH + 1), across, indexing="ij")
    x, y, _ = street.line.at(s, t)
    height = street.ground(x.ravel(), y.ravel()).reshape(x.shape)
    middle = _middles(x), _middles(y)
    crossed = street.crossed(middle[0].ravel(), middle[1].ravel()).reshape(middle[0].shape)
    paved = (_middles(t) > curbs[0]) & (_middles(t) < curbs[1]) | crossed
    return merged([grass, road, _surface(x, y, height, np.where(paved, Material.ASPHALT, Material.CONCRETE))])


def _surface(x: NDArray, y: NDArray, z: NDArray, materials: NDArray | Material) -> Mesh:
    """Two triangles for each cell of a grid ``(R, C)`` of vertices, of materials ``(R - 1, C - 1)``."""
    rows, columns = x.shape
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    triangles = np.stack(
        [first, first + columns, first + columns + 1, first, first + columns + 1, first + 1], axis=1
    ).reshape(-1, 3)
    of_cells = np.broadcast_to(np.asarray(materials, dtype=np.int64), (rows - 1, columns - 1))
    return Mesh(np.stack([x, y, z], axis=-1).reshape(-1, 3), triangles, of_cells.ravel().repeat(2))


def _middles(values: NDArray) -> NDArray[np.float64]:
    """Means ``(R - 1, C - 1)`` of the four values around each cell of a grid ``(R, C)``."""
    return (values[:-1, :-1] + values[1:, :-1] + values[:-1, 1:] + values[1:, 1:]) / 4


def _roadside(street: Street, rng: Generator) -> list[tuple[Mesh, float, float, float]]:
    """Meshes with x, y and heading: house fronts, walls and hedges with gaps, poles and trees, none on a road."""
    found = []

    def add(mesh: Mesh, s: float, t: float, off_sidewalk: bool) -> None:
        x, y, direction = (float(value) for value in street.line.at(s, t))
        outline = _outline(mesh, x, y, direction)
        clear = not street.crossed(*outline, 0.5).any()
        if off_sidewalk:
            beside = street.line.nearest(*outline)[1]
            clear &= bool((abs(beside) > np.where(beside > 0, street.edge(1), street.edge(-1))).all())
        if clear:
            found.append((mesh, x, y, direction))

    lined = rng.random() < 0.5
    for side in (-1, 1):
        edge, curb = street.edge(side), street.edge(side) - street.sidewalk
        front = edge + rng.uniform(0.5, 9)
        s = -REACH
        while s < REACH:
            length = rng.uniform(6, 26)
            middle = s + length / 2
            if rng.random() < 0.8:
                depth, setback = rng.uniform(6, 12), rng.uniform(0, 2)
                add(wall(length, depth, rng.uniform(4, 14)), middle, side * (front + setback + depth / 2), True)
            # the end of a garden towards the sidewalk
            draw = rng.random()
            if front - edge > 2 and draw < 0.5:
                low = wall(length, 0.25, rng.uniform(0.6, 1.8))
                hedge = wall(length, rng.uniform(0.6, 1.0), rng.uniform(0.9, 2.2), Material.FOLIAGE)
                add(hedge if draw < 0.3 else low, middle, side * (edge + 0.7), True)
            s += length + (0.0 if rng.random() < 0.6 else rng.uniform(2, 12))
        for s in spaced(rng, 12, 34, 100):
            add(pole(rng), s, side * (curb + 0.4), False)
        if lined:
            for s in spaced(rng, 7, 22, 100):
                add(tree(rng), s, side * (curb + 0.8), False)
    return found


def _outline(mesh: Mesh, x: float, y: float, heading: float) -> tuple[NDArray, NDArray]:
    """x and y of points along the foot of a mesh that is placed, 1.4 m apart at most where it is 26 m long."""
    foot = mesh.vertices[mesh.vertices[:, 2] < mesh.vertices[:, 2].min() + 0.1]
    corners = footprints(np.array([[x, y, 0, *np.ptp(foot[:, :2], axis=0), 1, heading]]))[0]
    shares = np.linspace(0, 1, 20)[:, None, None]
    return tuple((corners + shares * (np.roll(corners, 1, axis=0) - corners)).reshape(-1, 2).T)
