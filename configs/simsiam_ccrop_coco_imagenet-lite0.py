"""SimSiam with many objects an image on COCO-format images, an EfficientNet-Lite0 from ImageNet weights.

Small enough for some thousand images and a machine without a GPU.
"""

from mmengine.config import read_base

from ccrop.backbones import TimmBackbone
from ccrop.optim import AutocastOptimWrapper

with read_base():
    from ._base_.imagenet_start import *

init = "timm:tf_efficientnet_lite0"  # or --init with a file
model.backbone = dict(type=TimmBackbone, name="tf_efficientnet_lite0")
model.update(channels=512, bottleneck=128, channels_last=True)
optim_wrapper.update(type=AutocastOptimWrapper, dtype="bfloat16")
train_dataloader.batch_size = 16
train_dataloader.dataset.pipeline[0].update(size=160)
train_dataloader.dataset.pipeline[0].crop.side = 160
default_hooks.localization.image_size = (384, 384)
default_hooks.knn.update(image_size=(64, 64))
