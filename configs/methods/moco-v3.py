"""MoCo v3 (Chen et al., ICCV 2021): LARS and momentum as published for 300 epochs; batches of 4096 there."""

from mmengine.optim import LinearLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from timm.optim import Lars

from ccrop.backbones import ResNet
from ccrop.models import MoCoV3, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR

model = dict(
    type=MoCoV3,
    backbone=dict(type=ResNet, depth=50),
    channels=4096,
    out_channels=256,
    momentum=0.99,
    temperature=1.0,
    data_preprocessor=dict(type=ViewPreprocessor),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=False, decay_vectors=False),
    optimizer=dict(type=Lars, lr=0.3, momentum=0.9, weight_decay=1e-6),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=1e-3, end=0.05, by_epoch=True, convert_to_iter_based=True),
    dict(type=CosineLR, begin=0.05, eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
adjustments = {
    "imagenet": {
        "optim_wrapper.optimizer.lr": 0.6,  # for 256 images, as published for 100 epochs
        "param_scheduler.0.end": 0.1,
        "param_scheduler.1.begin": 0.1,
    },
    "cifar": {
        "model.channels": 512,
        "model.out_channels": 128,
        "model.temperature": 0.2,
        "optim_wrapper.paramwise_cfg.fix_predictor_lr": False,
    },
}
