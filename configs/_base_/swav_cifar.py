"""SwAV on 32 px: two views, SGD as for the other methods there."""

from mmengine.config import read_base

from ccrop.models import SwAV

with read_base():
    from .simsiam_cifar import *

model = dict(
    type=SwAV,
    backbone=model.backbone,
    channels=512,
    out_channels=128,
    num_prototypes=3000,
    temperature=0.1,
    epsilon=0.05,
    queue_size=3840,
    queue_from=15,
    frozen_epochs=1,
    data_preprocessor=model.data_preprocessor,
)
