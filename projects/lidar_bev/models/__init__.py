"""Networks on sweeps."""

from ccrop.projects.lidar_bev.models.encoders import KITTI_GRID, NUSCENES_GRID, SMALL_GRID, PillarEncoder, SparseEncoder

__all__ = ["KITTI_GRID", "NUSCENES_GRID", "SMALL_GRID", "PillarEncoder", "SparseEncoder"]
