"""Scene views for many objects by region.

Clusters come from the untrained backbone at stride 4, once, before training: there they hit more small objects than
after it (configs/README.md).
"""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook, RoIKNNHook
from ccrop.localization import MultiObject
from ccrop.views import ScenePair, SceneViews

with read_base():
    from .coco import *

train_dataloader.dataset.pipeline = [dict(type=SceneViews, crop=dict(type=ScenePair, side=224), size=224, max_boxes=32)]
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=MultiObject, max_boxes=32, levels=0, response="distance", threshold=0.7),
    image_size=(640, 640),
    keep_ratio=True,
    warmup=0,
    interval=1.0,
    batch_size=8,
)
default_hooks.roi_knn = dict(type=RoIKNNHook, data_root=None)
