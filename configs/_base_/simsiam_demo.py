"""SimSiam on the demo set, sized for two CPU cores and five minutes: ResNet-18 of half the width, 96 px, 20 epochs."""

from mmengine.config import read_base

with read_base():
    from .simsiam_coco_r18 import *

model.backbone.update(base_channels=32, stem_channels=32)
model.update(channels=512, bottleneck=128)
train_dataloader.dataset.pipeline[0].size = 96
default_hooks.knn.image_size = (64, 64)
default_hooks.knn.bank.subset = 1000
train_cfg.max_epochs = 20
