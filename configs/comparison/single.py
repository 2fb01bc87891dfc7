"""ContrastiveCrop: one box around everything above the threshold."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop

with read_base():
    from .rcrop import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.6)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(224, 224),
    warmup=0,
    interval=1.0,
    num_workers=0,
)
