"""Continued pretraining of torchvision's ResNet-50 from ImageNet weights, near which the backbone is kept.

Half of the epochs at a fifth of the rate that SimSiam takes from random weights. BN trains: its statistics start as
ImageNet's and follow the new images. The localizer looks with pretrained features from the start, at strides 4 and 8,
and again after every quarter of the run.
"""

from ccrop.models import StartDistillation

requires = ("simsiam", "scenes")
init = "torchvision:resnet50"  # or --init with a file
model = dict(distillation=dict(type=StartDistillation, level=-2, weight=1.0))  # stride 16; None lets the backbone go
optim_wrapper = dict(optimizer=dict(lr=0.01))  # for 256 images
train_cfg = dict(max_epochs=100)
adjustments = {
    "resized-crop": {"model.backbone.out_indices": (2, 3)},  # strides 16 and 32; the last is compared between views
    "region or objects": {
        "default_hooks.localization.interval": 0.25,
        "default_hooks.localization.localizer.levels": (0, 1),
    },
}
