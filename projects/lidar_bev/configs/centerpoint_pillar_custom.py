"""CenterPoint on own sweeps with labels in OpenPCDet's custom layout, all around the sensor.

Set the model's ``classes`` and ``distances``, of both data sets the ``columns`` of your files (default: x, y, z,
intensity) and their ``intensity_scale``, and z of the grid, from below the ground to above the tallest object.
"""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_kitti import *

from ccrop.projects.lidar_bev.datasets import CustomSweeps

default_data_root = "data/custom"
grid.update(low=(-51.2, -51.2, -3), high=(51.2, 51.2, 1.8), cell=0.2)
model.backbone.update(grid=grid, size="nuscenes")
train_dataloader.dataset.type = CustomSweeps
train_dataloader.dataset.pipeline[0].motion.update(mirror_x=0.5)
test_dataset.type = CustomSweeps
ground_truth_sampling.angle = 3.14159
train_cfg.update(max_iters=20000, val_interval=20001)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=500),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=500, end=20000, eta_min_ratio=0.01),
]
