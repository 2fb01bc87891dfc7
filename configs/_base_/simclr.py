"""SimCLR (Chen et al., ICML 2020): LARS at 0.3 x batch / 256, temperature 0.1, best with batches of 4096."""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from .lars import *

model = dict(
    type=SimCLR,
    backbone=model.backbone,
    channels=2048,
    out_channels=128,
    num_layers=2,
    temperature=0.1,
    data_preprocessor=model.data_preprocessor,
)
