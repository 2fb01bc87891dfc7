"""SimSiam with many objects an image on COCO-format images, a ResNet-50 from torchvision's ImageNet weights."""

from mmengine.config import read_base

with read_base():
    from ._base_.imagenet_start import *

init = "torchvision:resnet50"  # or --init with a file
