"""BYOL on 32 px as ContrastiveCrop's released code trains it: SGD, heads of 512 and 128, momentum from 0.996."""

from mmengine.config import read_base

from ccrop.models import BYOL

with read_base():
    from .simsiam_cifar import *

model = dict(
    type=BYOL,
    backbone=model.backbone,
    channels=512,
    out_channels=128,
    momentum=0.996,
    data_preprocessor=model.data_preprocessor,
)
optim_wrapper.paramwise_cfg.fix_predictor_lr = False
