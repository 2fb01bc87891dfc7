"""MoCo v2 (Chen et al., 2020): an MLP head, SGD at 0.03 x batch / 256, cosine, 65,536 negatives, shuffled BN."""

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.models import MoCo, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR

model = dict(
    type=MoCo,
    backbone=dict(type=ResNet, depth=50),
    channels=2048,
    out_channels=128,
    num_layers=2,
    queue_size=65536,
    momentum=0.999,
    temperature=0.2,
    data_preprocessor=dict(type=ViewPreprocessor),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=SGD, lr=0.03, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type=CosineLR, eta_min=0.0, by_epoch=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
sync_bn = None  # keys are computed of shuffled images instead
adjustments = {
    "cifar": {"model.channels": 512, "model.backbone.zero_init_residual": False},
    "imagenet": {"model.backbone.zero_init_residual": False},
    "region": {"sync_bn": "torch"},  # shuffling would send whole maps between the processes
    "small": {"model.queue_size": 1024},  # a few epochs of a few hundred images
}
