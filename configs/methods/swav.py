"""SwAV (Caron et al., NeurIPS 2020) as published for batches of 256: LARS at 0.6, cosine to 0.1 %, a queue of 3,840.

Crops of large images give two large views and six small ones; regions and images of 32 px give two views.
"""

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from timm.optim import Lars

from ccrop.backbones import ResNet
from ccrop.models import SwAV, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR

model = dict(
    type=SwAV,
    backbone=dict(type=ResNet, depth=50),
    channels=2048,
    out_channels=128,
    num_prototypes=3000,
    temperature=0.1,
    epsilon=0.05,
    queue_size=3840,
    queue_from=0.075,  # of the run: 15 of 200 epochs
    frozen_epochs=1,
    data_preprocessor=dict(type=ViewPreprocessor),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=Lars, lr=0.6, momentum=0.9, weight_decay=1e-6),
)
param_scheduler = [dict(type=CosineLR, eta_min_ratio=0.001, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
adjustments = {
    "imagenet": {"model.queue_from": 0.15},  # 15 of 100 epochs
    "cifar": {"model.channels": 512, "model.queue_from": 0.03},  # 15 of 500 epochs
    "resized-crop and large": {  # sides in pixels, areas as fractions of the image
        "train_dataloader.dataset.pipeline.0.size": [224] * 2 + [96] * 6,
        "train_dataloader.dataset.pipeline.0.crop.scale": [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6,
    },
    "small": {"model.num_prototypes": 300, "model.queue_size": 512},  # for a few hundred images
}
