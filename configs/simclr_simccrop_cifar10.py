"""SimCLR with SimCCrop, crops around the middle, on CIFAR-10 by the published recipe."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import FixedBox
from ccrop.views import ContrastiveCrop

with read_base():
    from ._base_.cifar10 import *
    from ._base_.simclr_cifar import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.1)
default_hooks.localization = dict(type=LocalizationHook, localizer=dict(type=FixedBox), image_size=(32, 32), warmup=0)
