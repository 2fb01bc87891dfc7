"""MoCo v3 (Chen et al., ICCV 2021): LARS and momentum as published for 300 epochs; batches of 4096 there."""

from mmengine.config import read_base

from ccrop.models import MoCoV3

with read_base():
    from .lars import *

model = dict(
    type=MoCoV3,
    backbone=model.backbone,
    channels=4096,
    out_channels=256,
    momentum=0.99,
    temperature=1.0,
    data_preprocessor=model.data_preprocessor,
)
