"""Siamese methods, their heads and the preprocessor that runs where the model runs."""

from ccrop.models.ablation import SimSiamAblation
from ccrop.models.byol import BYOL
from ccrop.models.center_heatmap_loss import CenterHeatmapLoss
from ccrop.models.distillation import StartDistillation
from ccrop.models.focal_loss import gaussian_focal_loss
from ccrop.models.moco import MoCo
from ccrop.models.moco_v3 import MoCoV3
from ccrop.models.preprocessor import ViewPreprocessor
from ccrop.models.region_pairs import RegionPairs
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
    "Siamese",
    "SimCLR",
    "SimSiam",
    "SimSiamAblation",
    "StartDistillation",
    "SwAV",
    "ViewPreprocessor",
    "gaussian_focal_loss",
]
