"""ImageNet-1K with ContrastiveCrop as released: boxes after epochs 20, 40, 60, 80, k 0.10, alpha 0.6."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop

with read_base():
    from .imagenet import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.6)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(224, 224),
    warmup=20,
    interval=20,
)
