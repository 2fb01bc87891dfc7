"""SimSiam with ContrastiveCrop on COCO-format images, ResNet-18 at 128 px."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop

with read_base():
    from ._base_.simsiam_coco_r18 import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.6)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(224, 224),
)
