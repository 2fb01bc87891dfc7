"""MoCo v1 on 32 px: as v2 with a linear head and temperature 0.07."""

from mmengine.config import read_base

with read_base():
    from .moco_v2_cifar import *

model.update(num_layers=1, temperature=0.07)
