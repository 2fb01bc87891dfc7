"""Continued pretraining: many objects by region from ImageNet weights, near which the backbone is kept.

Half of the epochs at a fifth of the rate that SimSiam takes from random weights. BN trains: its statistics start as
ImageNet's and follow the new images. The localizer looks with pretrained features from the start, at strides 4 and 8,
and again after every quarter of the run.
"""

from mmengine.config import read_base

from ccrop.models import StartDistillation

with read_base():
    from .region import *

model.distillation = dict(type=StartDistillation, level=-2, weight=1.0)  # stride 16; None lets the backbone go
optim_wrapper.optimizer.lr = 0.01  # for 256 images
train_cfg.max_epochs = 100
default_hooks.localization.interval = 0.25
default_hooks.localization.localizer.levels = (0, 1)
