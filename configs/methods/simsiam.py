"""SimSiam (Chen & He, CVPR 2021, section 4): ResNet-50, SGD at 0.05 x batch / 256, cosine to 0, 200 epochs."""

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import SGD

from ccrop.backbones import ResNet
from ccrop.models import SimSiam, ViewPreprocessor
from ccrop.optim import PredictorGroups
from ccrop.schedule import CosineLR

model = dict(
    type=SimSiam,
    backbone=dict(type=ResNet, depth=50),
    channels=2048,
    bottleneck=512,
    num_layers=3,
    data_preprocessor=dict(type=ViewPreprocessor),
)
optim_wrapper = dict(
    type=OptimWrapper,
    constructor=PredictorGroups,
    paramwise_cfg=dict(fix_predictor_lr=True),
    optimizer=dict(type=SGD, lr=0.05, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type=CosineLR, eta_min=0.0, by_epoch=True)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=200)
adjustments = {
    "cifar": {"model.channels": 512, "model.bottleneck": 128},
}
