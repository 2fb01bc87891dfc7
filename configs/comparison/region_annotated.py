"""Windows around annotated objects and background: the ceiling of many objects by region."""

from mmengine.config import read_base

from ccrop.hooks import AnnotatedBoxesHook

with read_base():
    from .region_clusters import *

train_dataloader.dataset.pipeline[0].max_boxes = 64
default_hooks.localization = dict(type=AnnotatedBoxesHook)
