"""Windows around clusters, with Gaussian center suppression, and what all runs of the comparison share.

SimCLR on windows only, the small encoder, clusters by geometry only.
"""

from mmengine.config import read_base

from ccrop.models import SimCLR

with read_base():
    from .._base_.demo import *

model.pop("bottleneck")
model.regions.heatmap = None
model.update(type=SimCLR, num_layers=2)
default_hooks.localization.update(blend=0.0, interval=1.0)
