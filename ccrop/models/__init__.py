"""Siamese methods, their heads, backbones and the preprocessor that runs where the model runs."""

from importlib import import_module
from typing import Any

from ccrop.models.ablation import SimSiamAblation
from ccrop.models.byol import BYOL
from ccrop.models.center_heatmap import CenterHeatmapLoss, gaussian_focal_loss
from ccrop.models.distillation import StartDistillation
from ccrop.models.moco import MoCo
from ccrop.models.moco_v3 import MoCoV3
from ccrop.models.preprocessor import ViewPreprocessor
from ccrop.models.regions import RegionPairs
from ccrop.models.siamese import Siamese
from ccrop.models.simclr import SimCLR
from ccrop.models.simsiam import SimSiam
from ccrop.models.swav import SwAV

__all__ = [
    "BYOL",
    "CenterHeatmapLoss",
    "MoCo",
    "MoCoV3",
    "RegionPairs",
    "ResNet",
    "ResNetCIFAR",
    "Siamese",
    "SimCLR",
    "SimSiam",
    "SimSiamAblation",
    "StartDistillation",
    "SwAV",
    "ViewPreprocessor",
    "gaussian_focal_loss",
]


def __getattr__(name: str) -> Any:
    """The ResNets, imported when they are asked for: they alone need mmdet."""
    if name in ("ResNet", "ResNetCIFAR"):
        return getattr(import_module("ccrop.models.resnet"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
