"""SwAV with ContrastiveCrop on ImageNet-1K, 100 epochs."""

from mmengine.config import read_base

with read_base():
    from ._base_.ccrop_imagenet import *
    from ._base_.swav_imagenet import *

train_dataloader.dataset.pipeline[0].size = multi_crop_size
train_dataloader.dataset.pipeline[0].crop.scale = multi_crop_scale
