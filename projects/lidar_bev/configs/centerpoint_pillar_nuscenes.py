"""CenterPoint on nuScenes: pillars of 0.2 m, ten classes in six groups, velocities, class-balanced sampling.

v1.0-mini: ``train_dataloader.dataset.split=mini_train test_dataset.split=mini_val``.
"""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_kitti import *

from ccrop.projects.lidar_bev.datasets import NuScenesSweeps
from ccrop.projects.lidar_bev.detection import ClassBalancedSampler

default_data_root = "data/nuscenes"
groups = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)
classes = tuple(name for group in groups for name in group)
grid.update(low=(-51.2, -51.2, -5), high=(51.2, 51.2, 3), cell=0.2)
model.backbone.update(grid=grid, size="nuscenes", columns=5)
model.update(
    classes=classes,
    groups=groups,
    velocity=True,
    distances=(2.0, 3.5, 3.5, 3.2, 3.2, 1.0, 0.9, 0.9, 0.4, 0.4),  # in the order of the groups
    top=500,
)
motion.update(mirror_x=0.5)
sweeps = dict(type=NuScenesSweeps, num_sweeps=10, labeled=True, classes=classes)
train_dataloader.sampler = dict(type=ClassBalancedSampler)
train_dataloader.dataset = sweeps | dict(
    data_root=None, split="train", pipeline=[dict(type=LabeledSweep, motion=motion)]
)
test_dataset = sweeps | dict(data_root=None, split="val", pipeline=[])
# numbers of class-balanced grouping and sampling (Zhu et al., 2019)
ground_truth_sampling = dict(
    numbers=dict(
        car=2,
        truck=3,
        construction_vehicle=7,
        bus=4,
        trailer=6,
        barrier=2,
        motorcycle=6,
        bicycle=6,
        pedestrian=2,
        traffic_cone=2,
    ),
    max_sweeps=2000,
)

# as many sweeps as 20 epochs of the 28,130 key frames of the training scenes
train_cfg.update(max_iters=140000, val_interval=140001)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=1000),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=1000, end=140000, eta_min_ratio=0.01),
]
