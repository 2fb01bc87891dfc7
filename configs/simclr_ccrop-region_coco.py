"""SimCLR on windows around the clusters of COCO-format images: background and other objects repel."""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from ._base_.region import *

model.pop("bottleneck")
model.update(type=SimCLR, num_layers=2)
demo = "simclr_ccrop-region_demo.py"  # where there is no data
