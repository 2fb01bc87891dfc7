"""BYOL for 100 epochs, as ContrastiveCrop (Peng et al., CVPR 2022) trains on ImageNet."""

from mmengine.config import read_base

with read_base():
    from .byol import *

train_cfg.max_epochs = 100
optim_wrapper.optimizer.lr = 0.45  # for 256 images, as published for 100 epochs
