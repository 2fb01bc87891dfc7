"""SwAV with random crops on COCO-format images."""

from mmengine.config import read_base

with read_base():
    from ._base_.coco import *
    from ._base_.swav import *

train_dataloader.dataset.pipeline[0].size = multi_crop_size
train_dataloader.dataset.pipeline[0].crop.scale = multi_crop_scale
