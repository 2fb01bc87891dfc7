"""BYOL with ContrastiveCrop on CIFAR-100 by the published recipe."""

from mmengine.config import read_base

with read_base():
    from ._base_.ccrop_cifar100 import *
    from ._base_.byol_cifar import *
