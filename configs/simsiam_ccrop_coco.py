"""SimSiam on COCO-format images with many objects each: crop by region, as simsiam_region_coco.py composes it.

Two overlapping scene views of 224 px show the same clusters. Windows around clusters and background are pooled from
each view's maps at strides 8, 16 and 32, and SimSiam (Chen & He, CVPR 2021) compares window with window. Clusters come
from the untrained backbone at stride 4, once, before training (configs/README.md).
"""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.datasets import CocoImages, ObjectCrops
from ccrop.hooks import KNNHook, LocalizationHook, RoIKNNHook
from ccrop.localization import MultiObject
from ccrop.models import RegionPairs, SimSiam, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR
from ccrop.views import ScenePair, SceneViews

with read_base():
    from ._base_.runtime import *  # loading, health, progress, checkpoints, logging

# data
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = "data/coco"
demo = "simsiam_region_demo.py"  # if there is no data
train_dataloader.update(
    batch_size=256,  # on each GPU
    num_workers=12,
    dataset=dict(
        type=CocoImages,
        data_root=None,  # None is filled with the run's data root, here and below
        split="train",
        pipeline=[dict(type=SceneViews, crop=dict(type=ScenePair, side=224), size=224, max_boxes=32)],
    ),
)

# where the objects are
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=MultiObject, max_boxes=32, levels=0, response="distance", threshold=0.7),
    image_size=(640, 640),
    keep_ratio=True,
    warmup=0,
    interval=1.0,  # of the run: once
    batch_size=8,
)

# model
model = dict(
    type=SimSiam,
    backbone=dict(type=ResNet, depth=50, out_indices=(0, 1, 2, 3)),
    channels=2048,
    bottleneck=512,
    num_layers=3,
    regions=dict(type=RegionPairs, levels=(1, 2, 3)),
    data_preprocessor=dict(type=ViewPreprocessor),
)

# training
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=SGD, lr=0.05, momentum=0.9, weight_decay=1e-4),  # for 256 images
)
param_scheduler = [dict(type=CosineLR, eta_min=0.0, by_epoch=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)

# evaluation, if there are annotations
default_hooks.knn = dict(
    type=KNNHook,
    bank=dict(type=ObjectCrops, data_root=None, split="train", subset=20000),
    queries=dict(type=ObjectCrops, data_root=None, split="val", subset=5000),
    image_size=(112, 112),
    k=20,
    interval=10,
)
default_hooks.roi_knn = dict(type=RoIKNNHook, data_root=None)
