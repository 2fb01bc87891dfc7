"""CenterPoint learns pseudo-boxes of simulated sweeps: clusters with a turned fit, then its own boxes. No labels."""

from mmengine.config import read_base

from projects.lidar_bev.clusters import BevClusters

with read_base():
    from .centerpoint_pillar_demo import *

pretraining = "projects.lidar_bev.pseudo.pretraining"
pseudo_boxes = dict(
    localizer=dict(type=BevClusters, grid=grid, max_boxes=48, behind=0, min_side=0.375),
    max_boxes=48,  # a sweep; those with the best scores
    rounds=2,  # each but the first learns the boxes that the detector of the round before is sure of
    min_score=0.3,  # of these boxes
)
