"""What all runs of the comparison share: SimCLR on windows alone, the small encoder, clusters by geometry alone.

AdamW as in fine-tuning, whose steps have one size: weights keep the scale that it is set for.
"""

from mmengine.config import read_base
from torch.optim import AdamW

from ccrop.models import SimCLR

with read_base():
    from .demo import *

model.pop("bottleneck")
model.regions.heatmap = None
model.update(type=SimCLR, num_layers=2)
optim_wrapper.optimizer = dict(type=AdamW, lr=0.004, weight_decay=0.05)  # for 8 sweeps
default_hooks.localization.update(blend=0.0, interval=1.0)
