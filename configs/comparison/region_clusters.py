"""Windows around clusters and background: many objects by region."""

from mmengine.config import read_base

with read_base():
    from .._base_.comparison_region import *
