"""Whole images through a backbone: what is asked of its feature maps outside training."""

from ccrop.inference.roi_features import roi_features

__all__ = ["roi_features"]
