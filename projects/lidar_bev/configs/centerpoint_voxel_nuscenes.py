"""CenterPoint on nuScenes with SECOND's sparse encoder: voxels of 0.1 x 0.1 x 0.2 m; needs spconv."""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_nuscenes import *

from ccrop.projects.lidar_bev.models import SparseEncoder

grid.update(cell=0.1)
model.backbone = dict(type=SparseEncoder, grid=grid, columns=5, cell_height=0.2)
