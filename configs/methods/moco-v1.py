"""MoCo v1 (He et al., CVPR 2020): a linear head, temperature 0.07, steps after 60 and 80 % of the epochs.

The learning rate falls to a tenth at each step; in ContrastiveCrop's released configs, it falls to 0 at the first.
"""

from mmengine.optim import MultiStepLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.models import MoCo, ViewPreprocessor
from ccrop.optim import PredictorGroups

model = dict(
    type=MoCo,
    backbone=dict(type=ResNet, depth=50),
    channels=2048,
    out_channels=128,
    num_layers=1,
    queue_size=65536,
    momentum=0.999,
    temperature=0.07,
    data_preprocessor=dict(type=ViewPreprocessor),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=SGD, lr=0.03, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type=MultiStepLR, milestones=[0.6, 0.8], gamma=0.1, by_epoch=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
sync_bn = None  # keys are computed of shuffled images instead
adjustments = {
    "cifar": {"model.channels": 512, "model.backbone.zero_init_residual": False},
    "imagenet": {"model.backbone.zero_init_residual": False},
    "region": {"sync_bn": "torch"},  # shuffling would send whole maps between the processes
    "small": {"model.queue_size": 1024},  # a few epochs of a few hundred images
}
