"""Many objects by region: windows around clusters and background in two scene views, at strides 8, 16 and 32."""

from mmengine.config import read_base

from ccrop.models import RegionPairs

with read_base():
    from .region_coco import *
    from .simsiam import *

model.backbone.out_indices = (0, 1, 2, 3)
model.update(regions=dict(type=RegionPairs, levels=(1, 2, 3)))
