"""Random crops of the scene, 0.2 to 1 of it: the baseline, and what all runs of a comparison share.

ResNet-18 of half the width, all stages as levels, SimCLR, 96 px views.
"""

from mmengine.config import read_base
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.datasets import CocoImages
from ccrop.models import SimCLR, ViewPreprocessor
from ccrop.mixed_precision import AutocastOptimWrapper
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR
from ccrop.views import CropViews, RandomCrop

with read_base():
    from .._base_.runtime import *

model = dict(
    type=SimCLR,
    backbone=dict(type=ResNet, depth=18, base_channels=32, stem_channels=32, out_indices=(0, 1, 2, 3)),
    channels=512,
    num_layers=2,
    channels_last=True,
    data_preprocessor=dict(type=ViewPreprocessor),
)
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = "data/coco"
train_dataloader.update(
    batch_size=64,
    num_workers=0,
    dataset=dict(
        type=CocoImages,
        data_root=None,  # None is filled with the run's data root
        split="train",
        pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=96)],
    ),
)
optim_wrapper = dict(
    type=AutocastOptimWrapper,
    dtype="bfloat16",
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    # for 256 images; the better of 0.8 and 1.6 on hit_uav
    optimizer=dict(type=SGD, lr=1.6, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type=CosineLR, eta_min=0.0, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
