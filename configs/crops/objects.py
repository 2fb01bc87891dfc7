"""Crops around one cluster per pair, whose size follows the cluster's: many objects by crop.

Clusters are found as for region.
"""

from ccrop.hooks import LocalizationHook
from ccrop.localization import MultiObject
from ccrop.views import CropViews, MultiObjectCrop

model = dict(backbone=dict(out_indices=(0, 1, 2, 3)))
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type=CropViews, crop=dict(type=MultiObjectCrop, evenness=1.0), size=224)])
)
default_hooks = dict(
    localization=dict(
        type=LocalizationHook,
        localizer=dict(type=MultiObject, max_boxes=32, levels=0, response="distance", threshold=0.7),
        image_size=(640, 640),
        keep_ratio=True,
        warmup=0,
        interval=1.0,
        batch_size=8,
    )
)
adjustments = {
    "cifar": {"default_hooks.localization.image_size": (32, 32), "default_hooks.localization.batch_size": 500},
}
