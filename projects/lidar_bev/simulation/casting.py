"""Rays into a scene: what a sensor measures, and what it misses."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ccrop.projects.lidar_bev.extras import extra
from ccrop.projects.lidar_bev.simulation.meshes import Material
from ccrop.projects.lidar_bev.simulation.scenes import NOTHING, Scene
from ccrop.projects.lidar_bev.simulation.sensors import Sensor

if TYPE_CHECKING:
    from open3d.t.geometry import RaycastingScene

MAX_SURFACES = 4  # that a ray may pass through
# fraction of rays that a material lets pass, and how deep they go before they may meet it again, in meters
PASSED = {Material.GLASS: (0.85, 0.02), Material.FOLIAGE: (0.45, 0.8)}
WEAK = 0.9e-5  # light per (distance in meters) squared at which 63 % of the returns are lost
LOST = 0.06  # returns lost for no visible reason


class Sweep(NamedTuple):
    """What a sensor measured.

    Attributes:
        points: ``(N, 4)`` float32 x, y, z in meters, intensity in [0, 1].
        objects: ``(N,)`` int64, the object that each point lies on, or ``NOTHING``.
        visible: ``(M,)`` fraction of each object's surface towards the sensor that nothing hides; 0 where no ray goes.
    """

    points: NDArray[np.float32]
    objects: NDArray[np.int64]
    visible: NDArray[np.float64]


def cast(scene: Scene, sensor: Sensor, rng: Generator) -> Sweep:
    """One turn of a sensor in a scene.

    A return of albedo a at an angle of incidence i and a distance r is kept with probability (1 - LOST) exp(-WEAK r^2 /
    (a (0.2 + 0.8 cos i))): light falls with r^2, and rough surfaces return some of it even at grazing angles. Most rays
    pass through glass, and about half of them through foliage, and hit what is behind.
    """
    directions = sensor.directions(rng)
    hits = _hits(_scene_of(scene), directions, scene.mesh.materials, sensor.max_range, rng)
    ray, distance, triangle, cosine = hits
    albedo = scene.albedos[triangle]
    light = albedo * (0.2 + 0.8 * cosine)
    kept = rng.random(len(ray)) < (1 - LOST) * np.exp(-WEAK * distance**2 / light)
    owners = scene.owners[triangle]
    visible = _visible(scene, directions, ray, owners)

    ray, distance, light, cosine = ray[kept], distance[kept], light[kept], cosine[kept]
    measured = distance + rng.normal(0, sensor.range_noise, len(ray))
    intensity = (light + rng.normal(0, 0.04, len(ray))).clip(0, 0.99)
    points = np.column_stack([directions[ray] * measured[:, None], intensity.round(2)]).astype(np.float32)
    return Sweep(points, owners[kept], visible)


def _hits(
    casting: "RaycastingScene", directions: NDArray, materials: NDArray, max_range: float, rng: Generator
) -> tuple[NDArray, ...]:
    """Rays that hit something in range: their indices, distances, triangles, and cosines of incidence."""
    ray = np.arange(len(directions))
    traveled = np.zeros(len(directions), dtype=np.float32)
    share, depth = np.zeros(len(Material)), np.zeros(len(Material))
    for material, (passed, thickness) in PASSED.items():
        share[material], depth[material] = passed, thickness
    found = []
    for surface in range(MAX_SURFACES):
        rays = np.concatenate([directions[ray] * traveled[:, None], directions[ray]], axis=1)
        result = casting.cast_rays(rays, nthreads=1)
        distance = traveled + result["t_hit"].numpy()
        met = distance < max_range
        ray, distance = ray[met], distance[met]
        triangle = result["primitive_ids"].numpy()[met].astype(np.int64)
        cosine = abs((result["primitive_normals"].numpy()[met] * directions[ray]).sum(axis=1))
        material = materials[triangle]
        passing = rng.random(len(ray)) < share[material] * (surface < MAX_SURFACES - 1)
        stays = ~passing
        found.append((ray[stays], distance[stays], triangle[stays], cosine[stays]))
        extra = depth[material] * np.where(material == Material.FOLIAGE, rng.random(len(ray)), 1.0)
        ray, traveled = ray[passing], (distance + extra + 0.001)[passing].astype(np.float32)
        if not len(ray):
            break
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))


def _visible(scene: Scene, directions: NDArray, ray: NDArray, owners: NDArray) -> NDArray[np.float64]:
    """Rays that reach each object as a fraction of those that would if nothing stood in front of it."""
    number = len(scene.names)
    if not number:
        return np.zeros(0)
    of_objects = scene.owners != NOTHING
    solid = of_objects & ~np.isin(scene.mesh.materials, list(PASSED))
    casting = _scene_of(scene, solid)
    owner_of = scene.owners[solid]
    # only beams that could meet an object at all
    steepest = _steepness(scene)
    toward = np.flatnonzero((directions[:, 2] < steepest[1] + 0.02) & (directions[:, 2] > steepest[0] - 0.02))
    rays = np.concatenate([np.zeros_like(directions[toward]), directions[toward]], axis=1)
    result = casting.list_intersections(rays, nthreads=1)
    which = owner_of[result["primitive_ids"].numpy().astype(np.int64)]
    pairs = np.unique(toward[result["ray_ids"].numpy().astype(np.int64)] * number + which)
    possible = np.bincount(pairs % number, minlength=number)
    reached = np.bincount(owners[owners != NOTHING], minlength=number)
    return (reached / possible.clip(min=1)).clip(0, 1)


def _steepness(scene: Scene) -> tuple[float, float]:
    """Lowest and highest z of directions towards the objects' vertices."""
    used = np.unique(scene.mesh.triangles[scene.owners != NOTHING])
    towards = scene.mesh.vertices[used]
    up = towards[:, 2] / np.linalg.norm(towards, axis=1)
    return up.min(), up.max()


def _scene_of(scene: Scene, chosen: NDArray[np.bool_] | slice = slice(None)) -> "RaycastingScene":
    """Open3D's scene of the chosen triangles; a triangle's number is its number among the chosen."""
    open3d = extra("open3d", "simulating sweeps")
    casting = open3d.t.geometry.RaycastingScene(nthreads=1)
    casting.add_triangles(scene.mesh.vertices.astype(np.float32), scene.mesh.triangles[chosen].astype(np.uint32))
    return casting
