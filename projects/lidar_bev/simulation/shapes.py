"""Road users and roadside: random meshes, each standing on z = 0 in its own frame and facing +x."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from ccrop.projects.lidar_bev.simulation.meshes import (
    Material,
    Mesh,
    box,
    capsule,
    ellipsoid,
    frustum,
    merged,
    ring,
    tube,
)


class Shape(NamedTuple):
    """A mesh with its length, width and height ``(dx, dy, dz)`` in meters."""

    mesh: Mesh
    size: tuple[float, float, float]


def _size(rng: Generator, means: tuple[float, ...], spreads: tuple[float, ...]) -> tuple[float, ...]:
    """Random sizes, normal, clipped to two standard deviations."""
    return tuple(np.array(means) + np.array(spreads) * rng.normal(size=3).clip(-2, 2))


def _wheels(length: float, width: float, radius: float, places: tuple[float, ...]) -> list[Mesh]:
    thickness = 0.22
    return [
        tube(
            (at * length, side * (width / 2 - thickness), radius),
            (at * length, side * width / 2, radius),
            radius,
            Material.RUBBER,
            12,
        )
        for at in places
        for side in (-1, 1)
    ]


def car(rng: Generator) -> Shape:
    """Ground clearance, a body that narrows towards its top, and a tapered cabin with windows all around."""
    length, width, height = _size(rng, (3.9, 1.63, 1.52), (0.35, 0.08, 0.08))
    belt, back, front = 0.58 * height, -0.5 * length, 0.5 * length
    rear_glass = rng.uniform(0.0, 0.22) * length  # none on a station wagon, most on a sedan
    cabin = (back + 0.02 * length + rear_glass * 0.5, front - 0.24 * length)
    roof = (back + 0.08 * length + rear_glass, front - 0.42 * length)
    parts = [
        frustum((back * 0.96, front * 0.95), width * 0.46, (0.2, 0.45), (back, front), width / 2, Material.PAINT),
        frustum((back, front), width / 2, (0.45, belt), (back * 0.97, front * 0.9), width * 0.47, Material.PAINT),
        frustum(cabin, width * 0.46, (belt, height), roof, width * 0.37, Material.PAINT, sides=Material.GLASS),
        box((roof[0], roof[1] - 0.1), width * 0.3, (0.35, belt + 0.2), Material.INTERIOR),
        *_wheels(length, width, 0.31, (-0.31, 0.31)),
    ]
    return Shape(merged(parts), (length, width, height))


def van(rng: Generator) -> Shape:
    """A tall body with a windshield, and windows on some."""
    length, width, height = _size(rng, (5.0, 1.9, 2.2), (0.5, 0.1, 0.25))
    back, front, belt = -length / 2, length / 2, 0.52 * height
    windows = Material.GLASS if rng.random() < 0.4 else Material.PAINT
    parts = [
        frustum((back, front), width * 0.48, (0.22, belt), (back, front - 0.05 * length), width / 2, Material.PAINT),
        frustum(
            (back, front - 0.3 * length),
            width / 2,
            (belt, height),
            (back * 0.98, front - 0.36 * length),
            width * 0.44,
            Material.PAINT,
            sides=windows,
        ),
        frustum(
            (front - 0.3 * length, front - 0.12 * length),
            width * 0.48,
            (belt, 0.96 * height),
            (front - 0.36 * length, front - 0.27 * length),
            width * 0.43,
            Material.PAINT,
            sides=Material.GLASS,
        ),
        box((back * 0.9, front - 0.5 * length), width * 0.3, (0.4, belt), Material.INTERIOR),
        *_wheels(length, width, 0.34, (-0.31, 0.31)),
    ]
    return Shape(merged(parts), (length, width, height))


def truck(rng: Generator) -> Shape:
    """A cab in front of a box or a low load."""
    length, width, height = _size(rng, (9.5, 2.55, 3.2), (2.0, 0.08, 0.3))
    back, front = -length / 2, length / 2
    cab = rng.uniform(1.7, 2.3)
    load = (0.95, height if rng.random() < 0.7 else rng.uniform(1.6, 2.2))
    parts = [
        box((front - cab, front), width * 0.47, (0.4, 1.5), Material.PAINT),
        frustum(
            (front - cab, front),
            width * 0.47,
            (1.5, 0.85 * height),
            (front - cab, front - 0.25),
            width * 0.44,
            Material.PAINT,
            sides=Material.GLASS,
        ),
        box((front - cab, front - 0.9), width * 0.44, (1.5, 0.83 * height), Material.INTERIOR),
        box((back, front - cab - rng.uniform(0.3, 0.7)), width / 2, load, Material.PAINT),
        box((back, front - cab), width * 0.2, (0.6, 0.95), Material.METAL),
        *_wheels(length, width, 0.48, (-0.38, -0.25, 0.36)),
    ]
    return Shape(merged(parts), (length, width, height))


def pedestrian(rng: Generator) -> Shape:
    """Head, trunk, two legs in mid-step and two arms, of capsules."""
    height = float(np.clip(rng.normal(1.74, 0.1), 1.4, 1.95))
    step, swing = rng.uniform(0, 0.36), rng.uniform(0, 0.25)
    hip, shoulder = 0.5 * height, 0.8 * height
    parts = [capsule((0.02, 0, 0.925 * height), (0.02, 0, 0.94 * height), 0.06 * height, Material.CLOTH)]
    parts.append(capsule((0, 0, hip + 0.05), (0, 0, shoulder - 0.12), 0.15, Material.CLOTH))
    for side in (-1, 1):
        parts.append(capsule((side * step, side * 0.09, 0.08), (0, side * 0.09, hip), 0.075, Material.CLOTH))
        hand = (-side * swing, side * 0.26, hip)
        parts.append(capsule((0, side * 0.2, shoulder - 0.06), hand, 0.05, Material.CLOTH))
    mesh = merged(parts)
    length, width = 2 * abs(mesh.vertices[:, :2]).max(axis=0)
    return Shape(mesh, (length, width, mesh.vertices[:, 2].max()))


def cyclist(rng: Generator) -> Shape:
    """A rider, of capsules, on a frame with two tyres."""
    length, height = float(rng.normal(1.76, 0.08)), float(rng.normal(1.73, 0.08))
    wheel = 0.34
    axle = length / 2 - wheel
    saddle, bar = (-0.2, 0, 0.92), (axle - 0.15, 0, 1.0)
    parts = [ring((side * axle, 0, wheel), wheel, wheel - 0.06, Material.RUBBER) for side in (-1, 1)]
    crank = (-0.05, 0, 0.3)
    for start, end in (((-axle, 0, wheel), saddle), (crank, saddle), (crank, bar), ((axle, 0, wheel), bar)):
        parts.append(tube(start, end, 0.025, Material.METAL, 6))
    shoulder = (0.15, 0, 0.83 * height)
    parts.append(capsule((-0.18, 0, 1.0), (0.12, 0, 0.83 * height - 0.08), 0.15, Material.CLOTH))
    parts.append(capsule((0.22, 0, 0.93 * height), (0.22, 0, 0.94 * height), 0.1, Material.CLOTH))
    for side in (-1, 1):
        knee = (0.18, side * 0.12, 0.62 + 0.12 * side)
        parts.append(capsule((-0.16, side * 0.09, 0.95), knee, 0.075, Material.CLOTH))
        parts.append(capsule(knee, (-0.03, side * 0.12, 0.3 + 0.14 * side), 0.055, Material.CLOTH))
        parts.append(
            capsule((shoulder[0], side * 0.18, shoulder[2] - 0.1), (bar[0], side * 0.24, bar[2]), 0.045, Material.CLOTH)
        )
    return Shape(merged(parts), (length, 0.6, height))


# KITTI's classes
ROAD_USERS: dict[str, Callable[[Generator], Shape]] = {
    "Car": car,
    "Van": van,
    "Truck": truck,
    "Pedestrian": pedestrian,
    "Cyclist": cyclist,
}


def pole(rng: Generator) -> Mesh:
    """A lamppost or a sign."""
    height = rng.uniform(2.3, 8)
    parts = [tube((0, 0, 0), (0, 0, height), rng.uniform(0.04, 0.12), Material.METAL)]
    if height < 4:
        parts.append(box((-0.02, 0.02), 0.3, (height - 0.7, height), Material.METAL))
    return merged(parts)


def tree(rng: Generator) -> Mesh:
    """A trunk below a crown of a few ellipsoids, which some rays pass through."""
    trunk, width = rng.uniform(1.6, 3.2), rng.uniform(1.0, 2.6)
    parts = [tube((0, 0, 0), (0, 0, trunk + 1), rng.uniform(0.1, 0.25), Material.BARK)]
    for _ in range(4):
        middle = rng.normal((0, 0, trunk + width * 0.9), (0.4 * width, 0.4 * width, 0.3))
        parts.append(ellipsoid(middle, width * rng.uniform(0.5, 0.9, 3), Material.FOLIAGE))
    return merged(parts)


def wall(length: float, depth: float, height: float, material: Material = Material.CONCRETE) -> Mesh:
    """A house front, a wall, or with foliage a hedge."""
    return box((-length / 2, length / 2), depth / 2, (-0.5, height), material)
