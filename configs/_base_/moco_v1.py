"""MoCo v1 (He et al., CVPR 2020): a linear head, temperature 0.07, steps after 60 and 80 % of the epochs."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

with read_base():
    from .moco_v2 import *

model.update(num_layers=1, temperature=0.07)
param_scheduler = [dict(type=MultiStepLR, milestones=[120, 160], gamma=0.1, by_epoch=True)]
