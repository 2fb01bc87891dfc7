"""SimCCrop: ContrastiveCrop with a fixed central box, without localization. A control."""

from ccrop.hooks import LocalizationHook
from ccrop.localization import FixedBox
from ccrop.views import ContrastiveCrop, CropViews

tags = ("resized-crop",)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type=CropViews, crop=dict(type=ContrastiveCrop, alpha=0.6), size=224)])
)
default_hooks = dict(
    localization=dict(type=LocalizationHook, localizer=dict(type=FixedBox), image_size=(224, 224), warmup=0)
)
adjustments = {
    "cifar": {
        "train_dataloader.dataset.pipeline.0.crop.alpha": 0.1,
        "default_hooks.localization.image_size": (32, 32),
    },
}
