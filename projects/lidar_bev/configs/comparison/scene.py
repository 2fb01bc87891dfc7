"""Whole scenes, the mean of each view's map: no windows."""

from mmengine.config import read_base

with read_base():
    from .clusters import *

model.regions = None
default_hooks.pop("localization")
train_dataloader.batch_size = 8  # a sweep gives one vector to compare, not 64
