"""SimCLR (Chen et al., ICML 2020): LARS at 0.3 x batch / 256, temperature 0.1, best with batches of 4096.

Windows and small batches have another recipe, the one that was measured on them: SGD and temperature 0.2.
"""

from mmengine.optim import LinearLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from timm.optim import Lars
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.models import SimCLR, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR

model = dict(
    type=SimCLR,
    backbone=dict(type=ResNet, depth=50),
    channels=2048,
    out_channels=128,
    num_layers=2,
    temperature=0.1,
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
    "imagenet": {"param_scheduler.0.end": 0.1, "param_scheduler.1.begin": 0.1},
    # ContrastiveCrop's released code, whose loss is T / 0.07 times the paper's: that factor is in the learning rate,
    # 0.5 x 0.5 / 0.07 at batch 512, and out of the weight decay, 1e-4 x 0.07 / 0.5
    "cifar": {
        "model.backbone.zero_init_residual": False,
        "model.channels": 512,
        "model.head_norm": False,
        "model.temperature": 0.5,
        "optim_wrapper.optimizer.lr": 0.25 * 0.5 / 0.07,
        "optim_wrapper.optimizer.weight_decay": 1e-4 * 0.07 / 0.5,
    },
    "region or small": {
        "model.temperature": 0.2,
        "optim_wrapper.paramwise_cfg": dict(_delete_=True, fix_predictor_lr=False),
        "optim_wrapper.optimizer": dict(_delete_=True, type=SGD, lr=0.05, momentum=0.9, weight_decay=1e-4),
        "param_scheduler": [dict(type=CosineLR, eta_min=0.0, by_epoch=True)],
    },
}
