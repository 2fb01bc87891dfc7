"""Windows around clusters and background: many objects by region.

Two scene views of 160 px at nearly the image's own scale, windows at strides 8 and 16, no stride 32.
"""

from mmengine.config import read_base

from ccrop.models import RegionPairs
from ccrop.views import ScenePair, SceneViews

with read_base():
    from .crop_clusters import *

model.backbone.out_indices = (0, 1, 2)  # no stage behind stride 16 runs
model.update(regions=dict(type=RegionPairs, levels=(1, 2)))
train_dataloader.dataset.pipeline = [dict(type=SceneViews, crop=dict(type=ScenePair, side=160), size=160, max_boxes=32)]
train_dataloader.batch_size = 16
optim_wrapper.optimizer.lr = 3.2  # for 256 images; the best of 0.8, 1.6 and 3.2 on hit_uav, with annotated boxes
