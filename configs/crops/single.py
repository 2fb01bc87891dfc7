"""ContrastiveCrop (Peng et al., CVPR 2022): one box around everything above a threshold, for images with one object.

Boxes after every fifth of the run, k 0.10. On scenes the box is nearly always the whole image: use region there.
"""

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop, CropViews

tags = ("resized-crop",)
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type=CropViews, crop=dict(type=ContrastiveCrop, alpha=0.6), size=224)])
)
default_hooks = dict(
    localization=dict(
        type=LocalizationHook,
        localizer=dict(type=SingleObject, threshold=0.1),
        image_size=(224, 224),
    )
)
adjustments = {
    "cifar": {  # alpha as released; the paper says 0.6, see variants/paper.py
        "train_dataloader.dataset.pipeline.0.crop.alpha": 0.1,
        "default_hooks.localization.image_size": (32, 32),
        "default_hooks.localization.batch_size": 500,
    },
}
