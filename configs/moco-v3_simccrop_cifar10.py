"""MoCo v3 with SimCCrop, crops around the middle, on CIFAR-10."""

from mmengine.config import read_base

with read_base():
    from ._base_.simccrop_cifar10 import *
    from ._base_.moco_v3_cifar import *
