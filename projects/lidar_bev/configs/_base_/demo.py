"""Simulated sweeps: a small encoder, sized for two CPU cores and ten minutes."""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.grid import Grid

with read_base():
    from .bev import *

grid = dict(type=Grid, low=(-48, -48, -3), high=(48, 48, 1.8), cell=0.375)
default_data_root = None
model.backbone.update(grid=grid, size="small")
model.update(channels=256, bottleneck=64)
train_dataloader.dataset.update(type=KittiSweeps, split="train")
train_dataloader.dataset.pipeline[0].grid = grid
train_dataloader.batch_size = 2
optim_wrapper.optimizer.lr = 0.004  # such a run has a few hundred steps
default_hooks.localization.localizer.grid = grid
train_cfg.max_epochs = 4
