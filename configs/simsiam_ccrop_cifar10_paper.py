"""SimSiam with ContrastiveCrop on CIFAR-10: the paper's alpha for small sets, 0.6; the released code has 0.1."""

from mmengine.config import read_base

with read_base():
    from .simsiam_ccrop_cifar10 import *

train_dataloader.dataset.pipeline[0].crop.alpha = 0.6
