"""CenterPoint on bird's-eye-view maps: targets, losses, decoding, the detector, and its metrics."""

from ccrop.projects.lidar_bev.detection.centerpoint import CenterPoint
from ccrop.projects.lidar_bev.detection.class_balanced_sampler import ClassBalancedSampler
from ccrop.projects.lidar_bev.detection.labeled_sweeps import LabeledSweep

__all__ = ["CenterPoint", "ClassBalancedSampler", "LabeledSweep"]
