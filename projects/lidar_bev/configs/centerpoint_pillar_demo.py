"""CenterPoint on simulated sweeps, all around the sensor, sized for one CPU core and five minutes."""

from mmengine.config import read_base

with read_base():
    from .centerpoint_pillar_kitti import *

default_data_root = "data/demo_lidar"
how_to_make_data = ", or make it with tools/make_demo_data.py --lidar data/demo_lidar"
# the encoder of the pretraining on a part of its grid: its weights do not depend on the grid
grid.update(low=(-36, -36, -3), high=(36, 36, 1.8), cell=0.375)
model.backbone.update(grid=grid, size="small")
model.channels = 32
all_around = dict(labels="label_360", in_view=False)
train_dataloader.update(batch_size=2, num_workers=0)
train_dataloader.dataset.update(all_around)
train_dataloader.dataset.pipeline[0].motion.mirror_x = 0.5
test_dataset.update(all_around)
ground_truth_sampling = dict(numbers=dict(Car=4, Pedestrian=6, Cyclist=6), angle=3.14159)

train_cfg.update(max_iters=300, val_interval=301)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=300, eta_min_ratio=0.01),
]
optim_wrapper.optimizer.lr = 3e-3
