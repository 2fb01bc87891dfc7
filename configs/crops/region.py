"""Many objects by region: windows around clusters and background in two scene views, at strides 8, 16 and 32.

Clusters come from the untrained backbone at stride 4, once, before training: there they hit more small objects than
after it (configs/README.md).
"""

from ccrop.hooks import LocalizationHook
from ccrop.localization import MultiObject
from ccrop.models import RegionPairs
from ccrop.views import ScenePair, SceneViews

model = dict(backbone=dict(out_indices=(0, 1, 2, 3)), regions=dict(type=RegionPairs, levels=(1, 2, 3)))
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type=SceneViews, crop=dict(type=ScenePair, side=224), size=224, max_boxes=32)])
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
    "cifar": {
        "train_dataloader.dataset.pipeline.0.crop.side": 32,
        "default_hooks.localization.image_size": (32, 32),
        "default_hooks.localization.batch_size": 500,
    },
}
