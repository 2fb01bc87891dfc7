"""SimCLR on windows around the clusters of the demo set."""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from ._base_.region_demo import *

model.pop("bottleneck")
model.update(type=SimCLR, num_layers=2)
