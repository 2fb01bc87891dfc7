"""mmdet needs its stand-in for compiled operators before it is imported."""

from ccrop.compat.mmcv_ext import install_mmcv_ext

install_mmcv_ext()
