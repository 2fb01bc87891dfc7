"""Pretraining on sweeps without labels: ccrop's methods on windows of bird's-eye-view maps."""

from ccrop.projects.lidar_bev.pretraining.annotated_sweeps import AnnotatedSweepsHook
from ccrop.projects.lidar_bev.pretraining.backbones import PillarBackbone, SparseBackbone
from ccrop.projects.lidar_bev.pretraining.gallery import SweepGalleryHook
from ccrop.projects.lidar_bev.pretraining.localization import SweepLocalizationHook
from ccrop.projects.lidar_bev.pretraining.pipeline import RandomBoxes, SceneSweeps, WholeSweep, collate_sweeps

__all__ = [
    "AnnotatedSweepsHook",
    "PillarBackbone",
    "RandomBoxes",
    "SceneSweeps",
    "SparseBackbone",
    "SweepGalleryHook",
    "SweepLocalizationHook",
    "WholeSweep",
    "collate_sweeps",
]
