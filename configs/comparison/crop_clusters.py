"""Crops that follow one cluster per pair: many objects by crop.

Clusters of the untrained backbone at stride 4, once, before training: runs here are too short to wait.
"""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import MultiObject
from ccrop.views import MultiObjectCrop

with read_base():
    from .rcrop import *

train_dataloader.dataset.pipeline[0].crop = dict(type=MultiObjectCrop, evenness=1.0)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=MultiObject, max_boxes=32, levels=0, response="distance", threshold=0.7),
    image_size=(384, 384),
    keep_ratio=True,
    warmup=0,
    interval=1.0,
    batch_size=16,
    num_workers=0,
)
