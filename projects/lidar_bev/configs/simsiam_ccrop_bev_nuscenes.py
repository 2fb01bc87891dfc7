"""SimSiam on windows around clusters of nuScenes' training scenes: ten sweeps in one, CenterPoint's grid."""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.datasets import NuScenesSweeps
from ccrop.projects.lidar_bev.grid import Grid

with read_base():
    from ._base_.bev import *

grid = dict(type=Grid, low=(-51.2, -51.2, -5), high=(51.2, 51.2, 3), cell=0.2)
default_data_root = "data/nuscenes"
model.backbone.update(grid=grid, size="nuscenes", columns=5)
train_dataloader.batch_size = 4
train_dataloader.dataset.update(type=NuScenesSweeps, split="train")
train_dataloader.dataset.pipeline[0].grid = grid
default_hooks.localization.localizer.update(grid=grid, stride=2)
train_cfg.max_epochs = 20
