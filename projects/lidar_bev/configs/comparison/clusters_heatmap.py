"""Windows around clusters, and in addition a heatmap of the clusters' centers."""

from mmengine.config import read_base

from ccrop.models import CenterHeatmapLoss

with read_base():
    from .clusters import *

model.regions.heatmap = dict(type=CenterHeatmapLoss, weight=10.0)
