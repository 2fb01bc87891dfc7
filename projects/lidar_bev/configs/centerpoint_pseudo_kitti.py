"""CenterPoint learns pseudo-boxes of KITTI's sweeps: PointPillars' grid, in front of the sensor."""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_kitti import *
    from ._base_.pseudo import *

pseudo_boxes.localizer.update(stride=2)
# 20 epochs per round
train_cfg.update(max_iters=18560, val_interval=18561)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=250),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=250, end=18560, eta_min_ratio=0.01),
]
