"""MoCo v3 on 32 px: heads of 512 and 128 and SGD as for the other methods there, temperature 0.2."""

from mmengine.config import read_base

from ccrop.models import MoCoV3

with read_base():
    from .simsiam_cifar import *

model = dict(
    type=MoCoV3,
    backbone=model.backbone,
    channels=512,
    out_channels=128,
    momentum=0.99,
    temperature=0.2,
    data_preprocessor=model.data_preprocessor,
)
optim_wrapper.paramwise_cfg.fix_predictor_lr = False
