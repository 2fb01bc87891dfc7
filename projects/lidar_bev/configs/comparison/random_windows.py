"""Windows of 1 to 5 m around random places with points: no clusters."""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.pretraining import RandomBoxes

with read_base():
    from .clusters import *

default_hooks.pop("localization")
train_dataloader.dataset.pipeline.insert(0, dict(type=RandomBoxes, grid=grid, number=64))
