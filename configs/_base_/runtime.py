"""What every pretraining run shares: loading, health, progress, checkpoints, logging."""

from mmengine.dataset import default_collate
from mmengine.hooks import DistSamplerSeedHook, IterTimerHook, ParamSchedulerHook
from mmengine.visualization import TensorboardVisBackend

from ccrop.compat.visualizer import LazyVisualizer
from ccrop.datasets import SeededSampler
from ccrop.hooks import (
    GalleryHook,
    HealthHook,
    MethodHook,
    ProgressHook,
    ReproducibleHook,
    RunInfoHook,
    UnreadableImagesHook,
    WholeCheckpointHook,
)

default_scope = "mmengine"
default_hooks = dict(
    runtime_info=dict(type=RunInfoHook),
    timer=dict(type=IterTimerHook),
    sampler_seed=dict(type=DistSamplerSeedHook),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=WholeCheckpointHook, interval=1, keep=2),
    logger=None,  # progress replaces it
    reproducible=dict(type=ReproducibleHook),
    unreadable=dict(type=UnreadableImagesHook),
    method=dict(type=MethodHook),
    health=dict(type=HealthHook),
    progress=dict(type=ProgressHook),
    gallery=dict(type=GalleryHook),
)

train_dataloader = dict(
    resident=False,  # True: decoded once, on the device, see docs/speed.md
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type=SeededSampler, shuffle=True),
    collate_fn=dict(type=default_collate),
)
visualizer = dict(type=LazyVisualizer, vis_backends=[dict(type=TensorboardVisBackend)])
randomness = dict(seed=0)
env_cfg = dict(cudnn_benchmark=True, dist_cfg=dict(backend="nccl"))
augment = "device"  # or "cpu": torchvision's operations, image by image, for exact comparisons
sync_bn = "torch"
auto_scale_lr = dict(enable=True, base_batch_size=256)
