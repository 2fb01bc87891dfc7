"""BYOL (Grill et al., NeurIPS 2020): LARS and momentum as published for 300 epochs; batches of 4096 there."""

from mmengine.config import read_base

from ccrop.models import BYOL

with read_base():
    from .lars import *

model = dict(
    type=BYOL,
    backbone=model.backbone,
    channels=4096,
    out_channels=256,
    momentum=0.99,
    data_preprocessor=model.data_preprocessor,
)
