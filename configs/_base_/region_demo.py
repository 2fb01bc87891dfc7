"""Many objects by region on the demo set, sized for two CPU cores and five minutes: ResNet-18 of half the width."""

from mmengine.config import read_base

from ccrop.optim import AutocastOptimWrapper

with read_base():
    from .region import *

model.backbone.update(depth=18, base_channels=32, stem_channels=32)
model.update(channels=512, bottleneck=128, channels_last=True)
optim_wrapper.update(type=AutocastOptimWrapper, dtype="bfloat16")
optim_wrapper.optimizer.lr = 3.2  # for 256 images
train_dataloader.batch_size = 16
train_dataloader.dataset.pipeline[0].update(size=160)
train_dataloader.dataset.pipeline[0].crop.side = 160
default_hooks.localization.image_size = (384, 384)
default_hooks.knn.update(image_size=(64, 64))
default_hooks.knn.bank.subset = 1000
default_hooks.knn.queries.subset = 1000
train_cfg.max_epochs = 12
