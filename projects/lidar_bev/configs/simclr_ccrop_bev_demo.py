"""SimCLR on windows around clusters of simulated sweeps, which are made where no data root is named."""

from mmengine.config import read_base

from ccrop.models import SimCLR
from ccrop.projects.lidar_bev.simulation import make_demo_sweeps

with read_base():
    from ._base_.demo import *

demo = "simclr_ccrop_bev_demo.py"
demo_set = dict(type=make_demo_sweeps, root="data/demo_lidar")
model.pop("bottleneck")
model.update(type=SimCLR, num_layers=2)
