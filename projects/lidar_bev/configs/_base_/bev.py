"""What all pretraining on sweeps shares: SimSiam on windows of a pillar encoder's map, Gaussian centers."""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import AdamW

from ccrop.models import CenterHeatmapLoss, RegionPairs, SimSiam
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR
from ccrop.views import GaussianCenters
from ccrop.projects.lidar_bev.localizer import BevClusters
from ccrop.projects.lidar_bev.pretraining import (
    PillarBackbone,
    SceneSweeps,
    SweepGalleryHook,
    SweepLocalizationHook,
    collate_sweeps,
)

with read_base():
    from .....configs._base_.runtime import *

model = dict(
    type=SimSiam,
    backbone=dict(type=PillarBackbone, columns=4, size="kitti"),
    channels=512,
    bottleneck=128,
    num_layers=3,
    data_preprocessor=None,
    # of 64 windows 20 are around background; a window of the cluster's own size holds two thirds of it or more
    regions=dict(
        type=RegionPairs,
        levels=(0,),
        num_objects=44,
        num_background=20,
        centers=dict(type=GaussianCenters),
        scale=(1.0, 2.0),
        offset=0.5,
        min_side=0.02,
        heatmap=dict(type=CenterHeatmapLoss),
    ),
)
data_root = None  # set it here or with --data-root
train_dataloader.update(
    batch_size=8,
    num_workers=8,
    collate_fn=dict(type=collate_sweeps),
    dataset=dict(data_root=None, pipeline=[dict(type=SceneSweeps, max_boxes=64)]),
)
default_hooks.update(
    localization=dict(type=SweepLocalizationHook, localizer=dict(type=BevClusters, max_boxes=64), blend=0.5),
    gallery=dict(type=SweepGalleryHook),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    # with SGD (0.2 for 8 sweeps), the heatmap's loss diverges
    optimizer=dict(type=AdamW, lr=0.002, weight_decay=0.05),
)
param_scheduler = [dict(type=CosineLR, eta_min=0.0, by_epoch=True)]
auto_scale_lr.base_batch_size = 8  # sweeps
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=100)
