"""CIFAR-10 with SimCCrop: as released, but around a fixed box in the middle."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import FixedBox
from ccrop.views import ContrastiveCrop

with read_base():
    from .cifar10 import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.1)
default_hooks.localization = dict(type=LocalizationHook, localizer=dict(type=FixedBox), image_size=(32, 32), warmup=0)
