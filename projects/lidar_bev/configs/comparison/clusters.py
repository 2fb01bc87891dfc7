"""Windows around clusters, their middles suppressed by Gaussian centers."""

from mmengine.config import read_base

with read_base():
    from .._base_.comparison import *
