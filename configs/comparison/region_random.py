"""Windows of the clusters' sizes at random places."""

from mmengine.config import read_base

with read_base():
    from .region_clusters import *

model.regions.update(num_objects=0, num_background=16)
