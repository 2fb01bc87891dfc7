"""BYOL with SimCCrop, crops around the middle, on CIFAR-10 by the published recipe."""

from mmengine.config import read_base

with read_base():
    from ._base_.simccrop_cifar10 import *
    from ._base_.byol_cifar import *
