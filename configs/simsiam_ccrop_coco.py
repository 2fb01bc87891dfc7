"""SimSiam with many objects an image on COCO-format images: by region, which gave most (configs/README.md)."""

from mmengine.config import read_base

with read_base():
    from ._base_.region import *

demo = "simsiam_ccrop-region_demo.py"  # where there is no data
