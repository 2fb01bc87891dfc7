"""LiDAR sweeps on disk, and what is known of each."""

from ccrop.projects.lidar_bev.datasets.argoverse import ArgoverseSweeps
from ccrop.projects.lidar_bev.datasets.base import OTHER, Objects, SweepDataset
from ccrop.projects.lidar_bev.datasets.custom import CustomSweeps
from ccrop.projects.lidar_bev.datasets.folder import SweepFolder
from ccrop.projects.lidar_bev.datasets.kitti import KittiSweeps
from ccrop.projects.lidar_bev.datasets.nuscenes import NuScenesSweeps
from ccrop.projects.lidar_bev.datasets.once import OnceSweeps
from ccrop.projects.lidar_bev.datasets.reading import UnreadableSweep, read_sweep
from ccrop.projects.lidar_bev.datasets.waymo import WaymoSweeps

__all__ = [
    "OTHER",
    "ArgoverseSweeps",
    "CustomSweeps",
    "KittiSweeps",
    "NuScenesSweeps",
    "Objects",
    "OnceSweeps",
    "SweepDataset",
    "SweepFolder",
    "UnreadableSweep",
    "WaymoSweeps",
    "read_sweep",
]
