"""SimSiam on windows around clusters of KITTI's sweeps."""

from mmengine.config import read_base

with read_base():
    from ._base_.kitti import *

demo = "simsiam_ccrop_bev_demo.py"  # where there is no data
