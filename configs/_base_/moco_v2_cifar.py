"""MoCo v2 on 32 px as ContrastiveCrop's released code trains it: SGD, 65,536 negatives, shuffled BN."""

from mmengine.config import read_base

from ccrop.models import MoCo

with read_base():
    from .simsiam_cifar import *

model = dict(
    type=MoCo,
    backbone=model.backbone,
    channels=512,
    out_channels=128,
    num_layers=2,
    queue_size=65536,
    momentum=0.999,
    temperature=0.2,
    data_preprocessor=model.data_preprocessor,
)
sync_bn = None  # keys are computed of shuffled images instead
