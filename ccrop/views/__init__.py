"""Boxes -> crop rectangles -> views of a pair. Pure functions, and thin transforms over them."""

from ccrop.views.centers import BetaCenters, GaussianCenters
from ccrop.views.crops import ContrastiveCrop, CropNoise, RandomCrop, contrastive_crops, crop_sizes, random_crops
from ccrop.views.multi_object_crop import MultiObjectCrop
from ccrop.views.scene_views import ScatterBoxes, ScenePair, SceneViews
from ccrop.views.transforms import CropViews, ReferenceAugmentation, WholeImage
from ccrop.views.windows import window_pairs

__all__ = [
    "BetaCenters",
    "ContrastiveCrop",
    "CropNoise",
    "CropViews",
    "GaussianCenters",
    "MultiObjectCrop",
    "RandomCrop",
    "ReferenceAugmentation",
    "ScatterBoxes",
    "ScenePair",
    "SceneViews",
    "WholeImage",
    "contrastive_crops",
    "crop_sizes",
    "random_crops",
    "window_pairs",
]
