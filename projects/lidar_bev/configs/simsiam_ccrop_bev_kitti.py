"""SimSiam on windows around clusters of KITTI's full training sweeps, on PointPillars' grid, in front of the sensor.

All frames, including those of val: ``train_dataloader.dataset.split=None``.
"""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.views import MotionRange

with read_base():
    from ._base_.bev import *

grid = dict(type=Grid, low=(0, -39.68, -3), high=(69.12, 39.68, 1), cell=0.16)
default_data_root = "data/kitti"
demo = "simsiam_ccrop_bev_demo.py"  # if there is no data
model.backbone.grid = grid
train_dataloader.dataset.update(type=KittiSweeps, split="train")
train_dataloader.dataset.pipeline[0].update(grid=grid, motion=dict(type=MotionRange, angle=0.5, mirror_x=0.0))
default_hooks.localization.localizer.update(grid=grid, stride=2)
