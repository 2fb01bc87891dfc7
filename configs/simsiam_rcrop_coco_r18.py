"""SimSiam with random crops on COCO-format images, ResNet-18 at 128 px."""

from mmengine.config import read_base

with read_base():
    from ._base_.simsiam_coco_r18 import *
