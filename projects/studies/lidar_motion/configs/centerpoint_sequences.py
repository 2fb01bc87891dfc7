"""``centerpoint_pseudo_nuscenes.py`` sized for simulated sequences and one CPU core."""

from mmengine.config import read_base

with read_base():
    from ....lidar_bev.configs.centerpoint_pseudo_nuscenes import *

default_data_root = "data/demo_sequences"
grid.update(low=(-36, -36, -3), high=(36, 36, 1.8), cell=0.375)
model.backbone.update(grid=grid, size="small")
model.channels = 32
pseudo_boxes.localizer.update(stride=1)
train_dataloader.update(batch_size=2, num_workers=0)
train_dataloader.dataset.split = "sim_train"
test_dataset.split = "sim_val"
train_cfg.update(max_iters=300, val_interval=301)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=20, end=300, eta_min_ratio=0.01),
]
optim_wrapper.optimizer.lr = 3e-3
