"""Boxes -> crop rectangles -> views of a pair. Pure functions, and thin transforms over them."""

from ccrop.views.centers import BetaCenters, GaussianCenters
from ccrop.views.crops import ContrastiveCrop, CropNoise, RandomCrop, contrastive_crops, crop_sizes, random_crops
from ccrop.views.multi_object import MultiObjectCrop
from ccrop.views.regions import window_pairs
from ccrop.views.scenes import ScatterBoxes, ScenePair, SceneViews
from ccrop.views.transforms import CropViews, ReferenceAugmentation, WholeImage

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
