"""Whole images through a backbone: uses of its feature maps outside training."""

from ccrop.inference.roi_features import roi_features

__all__ = ["roi_features"]
