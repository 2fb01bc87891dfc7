"""CenterPoint on bird's-eye-view maps: targets, losses, decoding, the detector, and its metrics."""

from ccrop.projects.lidar_bev.detection.detector import CenterPoint
from ccrop.projects.lidar_bev.detection.samples import LabeledSweep
from ccrop.projects.lidar_bev.detection.sampling import ClassBalancedSampler

__all__ = ["CenterPoint", "ClassBalancedSampler", "LabeledSweep"]
