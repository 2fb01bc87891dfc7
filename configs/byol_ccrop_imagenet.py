"""BYOL with ContrastiveCrop on ImageNet-1K, 100 epochs."""

from mmengine.config import read_base

with read_base():
    from ._base_.ccrop_imagenet import *
    from ._base_.byol_imagenet import *
