"""A heatmap of the clusters' centers in effect alone: the windows' loss weighs a thousandth."""

from mmengine.config import read_base

with read_base():
    from .clusters_heatmap import *

model.regions.heatmap.weight = 1000.0
