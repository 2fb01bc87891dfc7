"""SimSiam without stop-gradient: the loss falls to -1 and the embedding to a point (section 4.1)."""

from mmengine.config import read_base

from ccrop.models import SimSiamAblation

with read_base():
    from .._base_.cifar10 import *
    from .._base_.simsiam_cifar import *

model.update(type=SimSiamAblation, without="stop_gradient")
