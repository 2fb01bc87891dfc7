"""Windows around random places with points, and in addition a heatmap of those places: no clusters."""

from mmengine.config import read_base

from ccrop.models import CenterHeatmapLoss

with read_base():
    from .random_windows import *

model.regions.heatmap = dict(type=CenterHeatmapLoss, weight=10.0)
