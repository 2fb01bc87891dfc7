"""What the methods that train by LARS share: 10 epochs of warm-up, no decay and no adaptation of biases and BN."""

from mmengine.config import read_base
from mmengine.optim import LinearLR
from timm.optim import Lars

from ccrop.optim import CosineLR

with read_base():
    from .simsiam import *

optim_wrapper.update(
    optimizer=dict(type=Lars, lr=0.3, momentum=0.9, weight_decay=1e-6),
    paramwise_cfg=dict(fix_predictor_lr=False, decay_vectors=False),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=1e-3, end=10, by_epoch=True, convert_to_iter_based=True),
    dict(type=CosineLR, begin=10, eta_min=0.0, by_epoch=True, convert_to_iter_based=True),
]
