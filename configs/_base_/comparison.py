"""What all runs of a comparison share: ResNet-18 of half the width, all stages as levels, SimCLR, 96 px views."""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from .simsiam_coco_r18 import *

model.pop("bottleneck")
model.update(type=SimCLR, channels=512, num_layers=2)
model.backbone.update(base_channels=32, stem_channels=32, out_indices=(0, 1, 2, 3))
train_dataloader.dataset.pipeline[0].size = 96
train_dataloader.batch_size = 64
train_dataloader.num_workers = 0
optim_wrapper.optimizer.lr = 1.6  # for 256 images; the better of 0.8 and 1.6 on hit_uav
param_scheduler[0].convert_to_iter_based = True
default_hooks.pop("knn")
