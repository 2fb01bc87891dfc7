"""SimCLR on windows around clusters of simulated sweeps."""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from ._base_.demo import *

model.pop("bottleneck")
model.update(type=SimCLR, num_layers=2)
