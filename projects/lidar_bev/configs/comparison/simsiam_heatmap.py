"""SimSiam in place of SimCLR, windows around clusters and a heatmap of their centers."""

from mmengine.config import read_base

with read_base():
    from .._base_.demo import *

default_hooks.localization.update(blend=0.0, interval=1.0)
