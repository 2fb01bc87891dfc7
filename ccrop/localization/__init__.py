"""Feature map -> where the objects are. Pure tensor functions: torch only."""

from ccrop.localization.feature_heatmap import feature_heatmap, fused_heatmap
from ccrop.localization.fixed_box import FixedBox
from ccrop.localization.gaussian_heatmaps import center_heatmaps, gaussian_radius
from ccrop.localization.heatmap_regions import peak_regions
from ccrop.localization.letterbox import boxes_in_image, cells_inside
from ccrop.localization.localizer_protocol import Localizer
from ccrop.localization.multi_object import MultiObject
from ccrop.localization.single_object import SingleObject

__all__ = [
    "FixedBox",
    "Localizer",
    "MultiObject",
    "SingleObject",
    "boxes_in_image",
    "cells_inside",
    "center_heatmaps",
    "feature_heatmap",
    "fused_heatmap",
    "gaussian_radius",
    "peak_regions",
]
