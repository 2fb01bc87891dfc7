"""SimSiam on windows around clusters of simulated sweeps, which are made where no data root is given."""

from mmengine.config import read_base

from ccrop.projects.lidar_bev.simulation import make_demo_sweeps

with read_base():
    from ._base_.demo import *

demo = "simsiam_ccrop_bev_demo.py"
demo_set = dict(type=make_demo_sweeps, root="data/demo_lidar")
