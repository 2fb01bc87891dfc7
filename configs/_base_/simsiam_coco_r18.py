"""SimSiam for some hundred images or two CPU cores: ResNet-18, 128 px, batch 64, bf16."""

from mmengine.config import read_base

from ccrop.optim import AutocastOptimWrapper

with read_base():
    from .coco import *
    from .simsiam import *

model.backbone.depth = 18
model.update(in_channels=512, channels_last=True)
optim_wrapper.update(type=AutocastOptimWrapper, dtype="bfloat16")
train_dataloader.batch_size = 64
train_dataloader.dataset.pipeline[0].size = 128
default_hooks.knn.update(image_size=(96, 96), interval=5)
default_hooks.knn.bank.subset = 2000
default_hooks.knn.queries.subset = 1000
