"""Triangle meshes of simple solids, and the materials that they are made of."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Material(IntEnum):
    """What a triangle is made of."""

    ASPHALT = 0
    GRASS = 1
    CONCRETE = 2
    PAINT = 3
    GLASS = 4
    RUBBER = 5
    CLOTH = 6
    METAL = 7
    BARK = 8
    FOLIAGE = 9
    INTERIOR = 10


class Mesh(NamedTuple):
    """Triangles in meters.

    Attributes:
        vertices: ``(V, 3)``.
        triangles: ``(T, 3)`` int64, indices of vertices.
        materials: ``(T,)`` int64, see :class:`Material`.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    materials: NDArray[np.int64]

    def placed(self, x: float, y: float, z: float, heading: float = 0.0) -> "Mesh":
        """The mesh rotated by ``heading`` radians about the vertical axis, then translated by meters."""
        cos, sin = np.cos(heading), np.sin(heading)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        return self._replace(vertices=self.vertices @ turn + [x, y, z])


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles in one mesh, mesh after mesh."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.materials for mesh in meshes]),
    )


# of a hexahedron with corners counter-clockwise, the lower four first: bottom, top, front (+x), left, back, right
_FACES = np.array([(0, 3, 2, 1), (4, 5, 6, 7), (3, 0, 4, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6)])


def frustum(
    x: Sequence[float],
    half_width: float,
    z: Sequence[float],
    top_x: Sequence[float],
    top_half_width: float,
    material: Material,
    sides: Material | None = None,
) -> Mesh:
    """A box whose top is smaller or larger than its bottom.

    Args:
        x: back and front of the bottom; ``top_x`` of the top.
        half_width: of the bottom; ``top_half_width`` of the top.
        z: bottom and top.
        sides: material of the four sides; default ``material``.
    """
    vertices = [
        (end, side * width, height)
        for (back, front), width, height in ((x, half_width, z[0]), (top_x, top_half_width, z[1]))
        for end, side in ((front, 1), (back, 1), (back, -1), (front, -1))
    ]
    triangles = _FACES[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    materials = np.full(12, int(material))
    materials[4:] = material if sides is None else sides
    return Mesh(np.array(vertices, dtype=np.float64), triangles, materials)


def box(x: Sequence[float], half_width: float, z: Sequence[float], material: Material) -> Mesh:
    """A box between two values of x and of z, ``half_width`` to both sides."""
    return frustum(x, half_width, z, x, half_width, material)


def tube(start: ArrayLike, end: ArrayLike, radius: float, material: Material, segments: int = 8) -> Mesh:
    """A closed cylinder between two points."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    return _swept(np.stack([start, start, end, end]), [0, radius, radius, 0], end - start, material, segments)


def capsule(start: ArrayLike, end: ArrayLike, radius: float, material: Material, segments: int = 8) -> Mesh:
    """A cylinder with hemispheres over its ends."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    along = (end - start) / max(np.linalg.norm(end - start), 1e-9)
    if not along.any():
        along = np.array([0.0, 0.0, 1.0])
    angles = np.radians([-90, -60, -30, 0])
    low = start + radius * np.sin(angles)[:, None] * along
    high = end - radius * np.sin(angles[::-1])[:, None] * along
    radii = radius * np.cos(angles)
    return _swept(np.concatenate([low, high]), [*radii, *radii[::-1]], along, material, segments)


def ellipsoid(center: ArrayLike, half: ArrayLike, material: Material, segments: int = 10) -> Mesh:
    """An upright ellipsoid with half axes ``half`` along x, y, z."""
    sphere = capsule([0, 0, 0], [0, 0, 0], 1.0, material, segments)
    return sphere._replace(vertices=sphere.vertices * np.asarray(half) + np.asarray(center))


def ring(center: ArrayLike, outer: float, inner: float, material: Material, segments: int = 16) -> Mesh:
    """A flat ring in the plane y = constant, such as a bicycle's tire."""
    angles = np.arange(segments) / segments * 2 * np.pi
    circle = np.stack([np.cos(angles), np.zeros(segments), np.sin(angles)], axis=1)
    vertices = np.concatenate([inner * circle, outer * circle]) + np.asarray(center)
    return _strips(vertices, 2, segments, material)


def _swept(centers: NDArray, radii: Sequence[float], along: NDArray, material: Material, segments: int) -> Mesh:
    """Circles ``(L, 3)`` about an axis, joined one to the next."""
    along = along / np.linalg.norm(along)
    side = np.cross(along, [0, 0, 1] if abs(along[2]) < 0.9 else [1, 0, 0])
    side /= np.linalg.norm(side)
    angles = (np.arange(segments) / segments * 2 * np.pi)[:, None]
    circle = np.cos(angles) * side + np.sin(angles) * np.cross(along, side)
    vertices = centers[:, None] + np.asarray(radii)[:, None, None] * circle
    return _strips(vertices.reshape(-1, 3), len(centers), segments, material)


def _strips(vertices: NDArray, circles: int, segments: int, material: Material) -> Mesh:
    """Closed strips of triangles between circles of ``segments`` vertices each."""
    first = np.arange((circles - 1) * segments)
    after = first // segments * segments + (first + 1) % segments
    triangles = np.concatenate(
        [
            np.stack([first, after, after + segments], axis=1),
            np.stack([first, after + segments, first + segments], axis=1),
        ]
    )
    return Mesh(vertices, triangles, np.full(len(triangles), int(material)))
