"""A CenterPoint config becomes one that learns pseudo-boxes: clusters with a rotated fit, then its own boxes."""

from ccrop.projects.lidar_bev.localizer import BevClusters

pretraining = "ccrop.projects.lidar_bev.pseudo.pseudo_pretraining"
pseudo_boxes = dict(
    # on the encoder's grid; clusters where the points are, since the fit grows boxes away from the sensor
    localizer=dict(type=BevClusters, max_boxes=64, behind=0, min_side=0.375),
    detector=None,  # a fine-tuning's work_dir or checkpoint, whose boxes are learned instead of clusters
    max_boxes=64,  # per sweep; those with the best scores
    # round 0 learns only clusters with this motion score or more, None: all; the score compares a sweep with those
    # this many seconds before and after it, and needs a data set with ego poses
    min_motion=None,
    motion_gaps=(0.5, 1.0),
    rounds=1,  # each further one trains on the confident boxes of the previous round
    min_score=0.3,  # of a detector's boxes
)
