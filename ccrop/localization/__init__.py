"""Feature map -> where the objects are. Pure tensor functions: torch only."""

from ccrop.localization.fixed_box import FixedBox
from ccrop.localization.heatmap import feature_heatmap
from ccrop.localization.single_object import SingleObject

__all__ = ["FixedBox", "SingleObject", "feature_heatmap"]
