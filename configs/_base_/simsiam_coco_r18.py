"""SimSiam for some hundred images or for a machine without a GPU: ResNet-18, 128 px, batch 32, bf16 where there is.

The learning rate is 16 times SimSiam's, because such a run has some hundred steps, not 100,000: see configs/README.md.
"""

from mmengine.config import read_base

from ccrop.optim import AutocastOptimWrapper

with read_base():
    from .coco import *
    from .simsiam import *

model.backbone.depth = 18
model.update(channels_last=True)
optim_wrapper.update(type=AutocastOptimWrapper, dtype="bfloat16")
optim_wrapper.optimizer.lr = 0.8  # for 256 images
train_dataloader.batch_size = 32
train_dataloader.dataset.pipeline[0].size = 128
default_hooks.knn.update(image_size=(96, 96), interval=10)
default_hooks.knn.bank.subset = 2000
default_hooks.knn.queries.subset = 1000
