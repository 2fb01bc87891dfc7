"""CIFAR-10 with ContrastiveCrop as released: alpha 0.1, boxes every fifth of the run."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop

with read_base():
    from .cifar10 import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.1)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(32, 32),
    batch_size=500,
)
