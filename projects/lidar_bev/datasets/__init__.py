"""LiDAR sweeps on disk, and what is known of each."""

from projects.lidar_bev.datasets.base import OTHER, SweepDataset
from projects.lidar_bev.datasets.custom import CustomSweeps
from projects.lidar_bev.datasets.folder import SweepFolder
from projects.lidar_bev.datasets.kitti import KittiSweeps
from projects.lidar_bev.datasets.nuscenes import NuScenesSweeps
from projects.lidar_bev.datasets.reading import UnreadableSweep, read_sweep

__all__ = [
    "OTHER",
    "CustomSweeps",
    "KittiSweeps",
    "NuScenesSweeps",
    "SweepDataset",
    "SweepFolder",
    "UnreadableSweep",
    "read_sweep",
]
