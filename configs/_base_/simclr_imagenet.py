"""SimCLR for 100 epochs, as ContrastiveCrop (Peng et al., CVPR 2022) trains on ImageNet."""

from mmengine.config import read_base

with read_base():
    from .simclr import *

train_cfg.max_epochs = 100
