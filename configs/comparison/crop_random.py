"""Crops of the clusters' sizes at random places."""

from mmengine.config import read_base

from ccrop.views import ScatterBoxes

with read_base():
    from .crop_clusters import *

train_dataloader.dataset.pipeline.insert(0, dict(type=ScatterBoxes))
