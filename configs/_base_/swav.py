"""SwAV (Caron et al., NeurIPS 2020) as published for batches of 256: LARS at 0.6, cosine to 0.1 %, a queue of 3,840."""

from mmengine.config import read_base
from timm.optim import Lars

from ccrop.models import SwAV

with read_base():
    from .simsiam import *

model = dict(
    type=SwAV,
    backbone=model.backbone,
    channels=2048,
    out_channels=128,
    num_prototypes=3000,
    temperature=0.1,
    epsilon=0.05,
    queue_size=3840,
    queue_from=15,
    frozen_epochs=1,
    data_preprocessor=model.data_preprocessor,
)
optim_wrapper.optimizer = dict(type=Lars, lr=0.6, momentum=0.9, weight_decay=1e-6)
param_scheduler[0].pop("eta_min")
param_scheduler[0].update(eta_min_ratio=0.001, convert_to_iter_based=True)
# multi-crop: two large views and six small ones, sides in pixels and areas as shares of the image
multi_crop_size = [224] * 2 + [96] * 6
multi_crop_scale = [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6
