"""SimSiam with ContrastiveCrop on CIFAR-10 by the published recipe."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import SingleObject
from ccrop.views import ContrastiveCrop

with read_base():
    from ._base_.cifar10 import *
    from ._base_.simsiam_cifar import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.1)
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(32, 32),
    batch_size=500,
)
