"""MoCo v3 with many objects an image on COCO-format images, by region."""

from mmengine.config import read_base

from ccrop.models import RegionPairs

with read_base():
    from ._base_.region_coco import *
    from ._base_.moco_v3 import *

model.backbone.out_indices = (0, 1, 2, 3)
model.update(regions=dict(type=RegionPairs, levels=(1, 2, 3)))
