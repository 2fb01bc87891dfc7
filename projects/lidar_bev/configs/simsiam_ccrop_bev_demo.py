"""SimSiam on windows around clusters of simulated sweeps."""

from mmengine.config import read_base

with read_base():
    from ._base_.demo import *
