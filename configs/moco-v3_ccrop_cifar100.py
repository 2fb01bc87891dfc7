"""MoCo v3 with ContrastiveCrop on CIFAR-100."""

from mmengine.config import read_base

with read_base():
    from ._base_.ccrop_cifar100 import *
    from ._base_.moco_v3_cifar import *
