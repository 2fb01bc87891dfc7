"""Windows around clusters, their centers anywhere in the box: no center suppression."""

from mmengine.config import read_base

from ccrop.views import BetaCenters

with read_base():
    from .clusters import *

model.regions.centers = dict(type=BetaCenters, alpha=1.0)
