"""BYOL with random crops on COCO-format images."""

from mmengine.config import read_base

with read_base():
    from ._base_.coco import *
    from ._base_.byol import *
