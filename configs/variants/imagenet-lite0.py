"""Continued pretraining of an EfficientNet-Lite0 from ImageNet weights, near which the backbone is kept.

Small enough for a few thousand images and a machine without a GPU; otherwise as imagenet-r50.
"""

from ccrop.backbones import TimmBackbone
from ccrop.models import StartDistillation
from ccrop.mixed_precision import AutocastOptimWrapper

requires = ("simsiam", "scenes")
init = "timm:tf_efficientnet_lite0"  # or --init with a file
model = dict(
    backbone=dict(_delete_=True, type=TimmBackbone, name="tf_efficientnet_lite0"),
    channels=512,
    bottleneck=128,
    channels_last=True,
    distillation=dict(type=StartDistillation, level=-2, weight=1.0),  # stride 16; None lets the backbone go
)
optim_wrapper = dict(type=AutocastOptimWrapper, dtype="bfloat16", optimizer=dict(lr=0.01))  # for 256 images
train_cfg = dict(max_epochs=100)
train_dataloader = dict(batch_size=16)
adjustments = {
    "always": {"train_dataloader.dataset.pipeline.0.size": 160},
    "annotated": {"default_hooks.knn.image_size": (64, 64)},
    "objects": {"default_hooks.localization.image_size": (384, 384)},
    "region": {
        "train_dataloader.dataset.pipeline.0.crop.side": 160,
        "default_hooks.localization.image_size": (384, 384),
    },
    "region or objects": {
        "default_hooks.localization.interval": 0.25,
        "default_hooks.localization.localizer.levels": (0, 1),
    },
}
