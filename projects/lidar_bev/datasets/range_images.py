"""Waymo's range images as points in the vehicle's frame (Sun et al., CVPR 2020, section 3)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP = 1  # the spinning laser; each pixel of its images has its own pose
DISTANCE, INTENSITY, ELONGATION, NOT_LABELED = range(4)  # channels


class Laser(NamedTuple):
    """The pose and beams of a laser.

    Attributes:
        to_vehicle: ``(4, 4)`` from its frame to the vehicle's.
        limits: lowest and highest inclination in radians.
        inclinations: ``(H,)`` of its beams, ascending; None if they are evenly spaced.
    """

    to_vehicle: NDArray[np.float64]
    limits: tuple[float, float]
    inclinations: NDArray[np.float64] | None


def points_of(
    image: NDArray[np.float32], laser: Laser, poses: NDArray[np.float32] | None, to_world: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Points ``(N, 5)``: x, y, z, tanh of the intensity, elongation.

    Args:
        image: ``(H, W, 4)``, distance in meters (0 or less without a return), intensity, elongation, and above
            0 in zones that are not labeled.
        poses: ``(H, W, 6)``, of the vehicle when each pixel was measured: roll, pitch, yaw, x, y, z in the world; None
            for those of the frame.
        to_world: ``(4, 4)`` from the vehicle's frame to the world.
    """
    seen = (image[..., DISTANCE] > 0) & (image[..., NOT_LABELED] <= 0)
    rows, columns = np.nonzero(seen)
    distance = image[seen][:, DISTANCE].astype(np.float64)
    inclination = inclinations_of(laser, len(image))[rows]
    azimuth = azimuths_of(laser, image.shape[1])[columns]
    flat = distance * np.cos(inclination)
    points = np.column_stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(inclination)])
    points = points @ laser.to_vehicle[:3, :3].T + laser.to_vehicle[:3, 3]
    if poses is not None:
        own = poses[seen].astype(np.float64)
        world = np.einsum("nij,nj->ni", rotations(own[:, :3]), points) + own[:, 3:]
        points = (world - to_world[:3, 3]) @ to_world[:3, :3]
    values = np.tanh(image[seen][:, INTENSITY]), image[seen][:, ELONGATION]
    return np.column_stack([points, *values]).astype(np.float32)


def inclinations_of(laser: Laser, height: int) -> NDArray[np.float64]:
    """Inclination ``(H,)`` in radians of each row of an image, the highest first."""
    if laser.inclinations is not None and len(laser.inclinations):
        return np.asarray(laser.inclinations, dtype=np.float64)[::-1]
    low, high = laser.limits
    return low + (high - low) * (np.arange(height)[::-1] + 0.5) / height


def azimuths_of(laser: Laser, width: int) -> NDArray[np.float64]:
    """Azimuth ``(W,)`` in radians of each column in the laser's frame.

    In the vehicle's frame, columns run clockwise from the rear.
    """
    turn = np.arctan2(laser.to_vehicle[1, 0], laser.to_vehicle[0, 0])
    return np.pi * (2 * (np.arange(width)[::-1] + 0.5) / width - 1) - turn


def rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations ``(N, 3, 3)`` by roll, pitch, yaw ``(N, 3)`` in radians: first about x, then about y, then about z."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(angles).T, np.cos(angles).T
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
