"""SimSiam on windows around the clusters of the demo set."""

from mmengine.config import read_base

with read_base():
    from ._base_.region_demo import *
