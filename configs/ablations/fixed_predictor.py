"""SimSiam with a predictor that stays random: no collapse, but the loss stays high (section 4.2)."""

from mmengine.config import read_base

from ccrop.models import SimSiamAblation

with read_base():
    from .._base_.cifar10 import *
    from .._base_.simsiam_cifar import *

model.update(type=SimSiamAblation, without="predictor_training")
