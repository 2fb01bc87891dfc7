"""Simulated LiDAR sweeps of streets, by casting rays."""

from ccrop.projects.lidar_bev.simulation.casting import Sweep, cast
from ccrop.projects.lidar_bev.simulation.demo import make_demo_sweeps
from ccrop.projects.lidar_bev.simulation.scenes import Scene, sample_scene
from ccrop.projects.lidar_bev.simulation.sensors import SENSORS, Sensor
from ccrop.projects.lidar_bev.simulation.sequences import make_demo_sequences

__all__ = ["SENSORS", "Scene", "Sensor", "Sweep", "cast", "make_demo_sequences", "make_demo_sweeps", "sample_scene"]
