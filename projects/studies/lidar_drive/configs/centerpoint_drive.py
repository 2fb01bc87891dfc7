"""CenterPoint on the vans and cyclists of one KITTI drive, whose labels cover the camera's view, at the demo's size."""

from mmengine.config import read_base

with read_base():
    from ....lidar_bev.configs.centerpoint_pillar_demo import *

in_front = dict(labels="label_2", in_view=True)
train_dataloader.dataset.update(in_front)
test_dataset.update(in_front)
model.update(classes=["Van", "Cyclist"], distances=[2.0, 0.8])
ground_truth_sampling = dict(numbers=5, angle=0.0)
