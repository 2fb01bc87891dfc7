"""A CenterPoint config becomes one that learns pseudo-boxes: clusters with a turned fit, then its own boxes."""

from ccrop.projects.lidar_bev.clusters import BevClusters

pretraining = "ccrop.projects.lidar_bev.pseudo.pretraining"
pseudo_boxes = dict(
    # on the encoder's grid; clusters where the points are, since the fit grows boxes away from the sensor
    localizer=dict(type=BevClusters, max_boxes=64, behind=0, min_side=0.375),
    max_boxes=64,  # a sweep; those with the best scores
    # round 0 learns clusters alone of whose points, on average, such a fraction of sweeps sees that they have moved;
    # None: all. The sweeps are those so many seconds before and after, and the data set must know their poses.
    min_motion=None,
    motion_gaps=(0.5, 1.0),
    rounds=2,  # each but the first learns the boxes that the detector of the round before is sure of
    min_score=0.3,  # of these boxes
)
