"""SimCLR on 32 px as ContrastiveCrop's released code trains it, whose loss is T / 0.07 times the paper's.

That factor is in the learning rate, 0.5 x 0.5 / 0.07 at batch 512, and out of the weight decay, 1e-4 x 0.07 / 0.5.
"""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from .simsiam_cifar import *

model = dict(
    type=SimCLR,
    backbone=model.backbone,
    channels=512,
    out_channels=128,
    num_layers=2,
    temperature=0.5,
    data_preprocessor=model.data_preprocessor,
)
optim_wrapper.optimizer.update(lr=0.25 * 0.5 / 0.07, weight_decay=1e-4 * 0.07 / 0.5)
