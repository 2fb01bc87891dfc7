"""BYOL with ContrastiveCrop on 200 classes of ImageNet, 100 epochs."""

from mmengine.config import read_base

with read_base():
    from ._base_.ccrop_imagenet200 import *
    from ._base_.byol_imagenet import *
