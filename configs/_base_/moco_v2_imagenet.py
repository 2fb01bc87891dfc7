"""MoCo v2 for 100 epochs, as ContrastiveCrop (Peng et al., CVPR 2022) trains on ImageNet."""

from mmengine.config import read_base

with read_base():
    from .moco_v2 import *

train_cfg.max_epochs = 100
