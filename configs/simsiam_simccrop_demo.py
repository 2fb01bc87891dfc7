"""SimSiam with SimCCrop, crops around the middle, on the demo set, sized for two CPU cores and five minutes."""

from mmengine.config import read_base

from ccrop.hooks import LocalizationHook
from ccrop.localization import FixedBox
from ccrop.views import ContrastiveCrop

with read_base():
    from ._base_.simsiam_demo import *

train_dataloader.dataset.pipeline[0].crop = dict(type=ContrastiveCrop, alpha=0.6)
default_hooks.localization = dict(type=LocalizationHook, localizer=dict(type=FixedBox), image_size=(224, 224), warmup=0)
