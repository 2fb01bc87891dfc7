"""SimSiam on 32 px as ContrastiveCrop's released code trains it (Peng et al., CVPR 2022).

ResNet-18 with a 3x3 stem, heads of 512 and 128, no blur, learning rate 0.5 at batch 512, 500 epochs, cosine to
10 %. SimSiam's own schedule ends at 0: ``--cfg-options param_scheduler.0.eta_min_ratio=0.0``.
"""

from mmengine.config import read_base

from ccrop.backbones import ResNetCIFAR

with read_base():
    from .simsiam import *

model.backbone = dict(type=ResNetCIFAR, depth=18)
model.update(channels=512, bottleneck=128)
model.data_preprocessor.update(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010), blur_prob=0.0)
optim_wrapper.optimizer.lr = 0.25  # for 256 images
param_scheduler[0].pop("eta_min")
param_scheduler[0].eta_min_ratio = 0.1
train_cfg.max_epochs = 500
