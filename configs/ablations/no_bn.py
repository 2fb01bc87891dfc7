"""SimSiam without BN in its heads: no collapse, but hard to optimise (section 4.4)."""

from mmengine.config import read_base

from ccrop.models import SimSiamAblation

with read_base():
    from .._base_.cifar10 import *
    from .._base_.simsiam_cifar import *

model.update(type=SimSiamAblation, without="bn")
