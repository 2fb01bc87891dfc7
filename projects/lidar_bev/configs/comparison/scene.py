"""Whole scenes, the mean of each view's map: no windows."""

from mmengine.config import read_base

with read_base():
    from .clusters import *

model.regions = None
default_hooks.pop("localization")
