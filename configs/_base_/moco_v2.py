"""MoCo v2 (Chen et al., 2020): an MLP head, SGD at 0.03 x batch / 256, cosine, 65,536 negatives, shuffled BN."""

from mmengine.config import read_base

from ccrop.models import MoCo

with read_base():
    from .simsiam import *

model = dict(
    type=MoCo,
    backbone=model.backbone,
    channels=2048,
    out_channels=128,
    num_layers=2,
    queue_size=65536,
    momentum=0.999,
    temperature=0.2,
    data_preprocessor=model.data_preprocessor,
)
optim_wrapper.optimizer.lr = 0.03  # for 256 images
sync_bn = None  # keys are computed of shuffled images instead
