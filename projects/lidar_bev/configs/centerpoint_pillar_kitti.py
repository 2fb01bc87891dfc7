"""CenterPoint with PointPillars' encoder on KITTI, in the camera's view: what all CenterPoint configs start with."""

from mmengine.dataset import pseudo_collate
from mmengine.hooks import DistSamplerSeedHook, IterTimerHook, ParamSchedulerHook, RuntimeInfoHook
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from mmengine.runner import IterBasedTrainLoop
from torch.optim import AdamW

from ccrop.datasets import InfiniteSeededSampler
from ccrop.hooks import ReproducibleHook, SteadyLoggerHook, UnreadableImagesHook, WholeCheckpointHook
from ccrop.projects.lidar_bev.datasets import KittiSweeps
from ccrop.projects.lidar_bev.detection import CenterPoint, LabeledSweep
from ccrop.projects.lidar_bev.grid import Grid
from ccrop.projects.lidar_bev.models import PillarEncoder

finetuning = "ccrop.projects.lidar_bev.finetune"
default_scope = "mmengine"

default_data_root = "data/kitti"
classes = ("Car", "Pedestrian", "Cyclist")
grid = dict(type=Grid, low=(0, -39.68, -3), high=(69.12, 39.68, 1), cell=0.16)
model = dict(
    type=CenterPoint,
    backbone=dict(type=PillarEncoder, grid=grid, columns=4, size="kitti"),
    classes=classes,
    distances=(2.0, 0.5, 0.8),
    heading="axis",
)

# data_root: tools/finetune.py fills it in
motion = dict(mirror_x=0.0)
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type=InfiniteSeededSampler, shuffle=True),
    collate_fn=dict(type=pseudo_collate),
    dataset=dict(
        type=KittiSweeps,
        data_root=None,
        split="train",
        labeled=True,
        classes=classes,
        pipeline=[dict(type=LabeledSweep, motion=motion)],
    ),
)
test_dataset = dict(type=KittiSweeps, data_root=None, split="val", labeled=True, classes=classes, pipeline=[])
# how many labeled objects of each class are pasted into a sweep, see GroundTruthSamplingHook
ground_truth_sampling = dict(numbers=10, angle=0.0)
self_training = dict(  # also learn the boxes that a fine-tuned detector finds in training sweeps without labels
    teacher=None,  # its work_dir or checkpoint: --teacher
    min_score=0.45,  # of its boxes
    labeled_fraction=0.2,  # of what is drawn, about; labeled sweeps are repeated to reach it
)

# 80 epochs of the 3,712 training frames
train_cfg = dict(type=IterBasedTrainLoop, max_iters=74240, val_interval=74241)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.05, by_epoch=False, begin=0, end=1000),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=1000, end=74240, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=35)
)

default_hooks = dict(
    runtime_info=dict(type=RuntimeInfoHook),
    timer=dict(type=IterTimerHook),
    sampler_seed=dict(type=DistSamplerSeedHook),
    logger=dict(type=SteadyLoggerHook, interval=50),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=WholeCheckpointHook, interval=0.05, by_epoch=False, keep=1),
    reproducible=dict(type=ReproducibleHook),
    unreadable=dict(type=UnreadableImagesHook),
)
env_cfg = dict(cudnn_benchmark=False, dist_cfg=dict(backend="nccl"))
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
