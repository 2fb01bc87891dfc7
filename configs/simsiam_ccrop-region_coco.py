"""SimSiam on windows around the clusters of COCO-format images."""

from mmengine.config import read_base

with read_base():
    from ._base_.region import *

demo = "simsiam_ccrop-region_demo.py"  # where there is no data
