"""Boxes -> crop rectangles -> views of a pair. Pure functions, and thin transforms over them."""

from ccrop.views.crops import ContrastiveCrop, CropNoise, RandomCrop, contrastive_crops, crop_sizes, random_crops
from ccrop.views.transforms import CropViews, ReferenceAugmentation, WholeImage

__all__ = [
    "ContrastiveCrop",
    "CropNoise",
    "CropViews",
    "RandomCrop",
    "ReferenceAugmentation",
    "WholeImage",
    "contrastive_crops",
    "crop_sizes",
    "random_crops",
]
