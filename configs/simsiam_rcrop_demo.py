"""SimSiam with random crops on the demo set, sized for two CPU cores and five minutes."""

from mmengine.config import read_base

with read_base():
    from ._base_.simsiam_demo import *
