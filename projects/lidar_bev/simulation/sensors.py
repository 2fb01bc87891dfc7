"""Spinning LiDAR sensors: where their beams point, and how well they measure."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


class Sensor(NamedTuple):
    """A sensor that spins about its vertical axis.

    Attributes:
        elevations: ``(B,)`` angles of its beams above the horizon in degrees.
        azimuth_step: degrees between two firings of a beam.
        height: above the ground in meters.
        max_range: in meters.
        range_noise: standard deviation in meters.
    """

    elevations: NDArray[np.floating]
    azimuth_step: float
    height: float
    max_range: float
    range_noise: float

    def directions(self, rng: Generator) -> NDArray[np.float32]:
        """Unit vectors ``(B A, 3)`` of the rays of one revolution, beam after beam, starting at a random angle."""
        turns = round(360 / self.azimuth_step)
        azimuths = np.radians((np.arange(turns) + rng.uniform(size=(len(self.elevations), 1))) * 360 / turns)
        elevations = np.radians(self.elevations)[:, None]
        level = np.cos(elevations)
        up = np.broadcast_to(np.sin(elevations), azimuths.shape)
        rays = np.stack([level * np.cos(azimuths), level * np.sin(azimuths), up], axis=-1)
        return rays.reshape(-1, 3).astype(np.float32)


# Velodyne's data sheets; mounted as on KITTI's and nuScenes' cars. The HDL-64E's upper half is denser than its lower.
SENSORS = {
    "HDL-64E": Sensor(
        elevations=np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.9, 32)]),
        azimuth_step=0.17,
        height=1.73,
        max_range=120.0,
        range_noise=0.02,
    ),
    "HDL-32E": Sensor(
        elevations=np.linspace(10.67, -30.67, 32), azimuth_step=0.332, height=1.84, max_range=100.0, range_noise=0.02
    ),
}
