"""Windows around labeled objects: the upper bound for localization."""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.pretraining import AnnotatedSweepsHook

with read_base():
    from .clusters import *

default_hooks.localization = dict(
    type=AnnotatedSweepsHook,
    grid=grid,
    dataset=dict(type=KittiSweeps, data_root=None, split="train", labeled=True, in_view=False, labels="label_360"),
)
