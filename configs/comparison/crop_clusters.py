"""Crops that follow one cluster a pair: many objects by crop."""

from mmengine.config import read_base

from ccrop.views import MultiObjectCrop

with read_base():
    from .._base_.comparison_clusters import *

train_dataloader.dataset.pipeline[0].crop = dict(type=MultiObjectCrop, evenness=1.0)
