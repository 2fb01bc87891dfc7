"""CenterPoint learns pseudo-boxes of nuScenes' key frames; with ``pseudo_boxes.min_motion=0.5`` at first of what moves.

v1.0-mini: ``train_dataloader.dataset.split=mini_train test_dataset.split=mini_val``.
"""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_nuscenes import *
    from ._base_.pseudo import *

# what moves is smeared in several sweeps put into one
train_dataloader.dataset.num_sweeps = 1
test_dataset.num_sweeps = 1
pseudo_boxes.localizer.update(stride=2)
# 10 epochs a round
train_cfg.update(max_iters=70000, val_interval=70001)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=1000),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=1000, end=70000, eta_min_ratio=0.01),
]
