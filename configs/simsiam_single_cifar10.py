"""ContrastiveCrop with SimSiam on CIFAR-10 as the authors released it (Peng et al., CVPR 2022): one box per image.

Random crops for a fifth of the 500 epochs, then boxes around everything above k = 0.10 of the heatmap, refreshed after
every further fifth; centers are drawn in the box with alpha = 0.1, away from its middle. The paper says 0.6:
simsiam_single_cifar10_paper.py. docs/crops_and_methods.md says what differs.
"""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNetCIFAR
from ccrop.datasets import CIFAR10
from ccrop.hooks import KNNHook, LocalizationHook
from ccrop.localization import SingleObject
from ccrop.models import SimSiam, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR
from ccrop.views import ContrastiveCrop, CropViews

with read_base():
    from ._base_.runtime import *  # loading, health, progress, checkpoints, logging

# data
channels = 3  # of the images
data_root = None  # name it here or by --data-root
default_data_root = "data/cifar10"
train_dataloader.update(
    batch_size=512,  # on each GPU
    num_workers=4,
    dataset=dict(
        type=CIFAR10,
        data_root=None,  # None is filled with the run's data root, here and below
        split="train",
        pipeline=[dict(type=CropViews, crop=dict(type=ContrastiveCrop, alpha=0.1), size=32)],
    ),
)

# where the objects are
default_hooks.localization = dict(
    type=LocalizationHook,
    localizer=dict(type=SingleObject, threshold=0.1),
    image_size=(32, 32),
    batch_size=500,
)

# model
model = dict(
    type=SimSiam,
    backbone=dict(type=ResNetCIFAR, depth=18),
    channels=512,
    bottleneck=128,
    num_layers=3,
    data_preprocessor=dict(
        type=ViewPreprocessor, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), blur_prob=0.0
    ),
)

# training: a learning rate of 0.5 at batch 512, cosine to 10 %
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=SGD, lr=0.25, momentum=0.9, weight_decay=1e-4),  # for 256 images
)
param_scheduler = [dict(type=CosineLR, eta_min_ratio=0.1, by_epoch=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=500)

# evaluation
default_hooks.knn = dict(
    type=KNNHook,
    bank=dict(type=CIFAR10, data_root=None, split="train"),
    queries=dict(type=CIFAR10, data_root=None, split="test"),
    image_size=(32, 32),
    k=200,
    interval=10,
    batch_size=500,
)
