"""CenterPoint with PointPillars' encoder on KITTI: points and labels in the camera's view."""

from mmengine.config import read_base

with read_base():
    from ._base_.centerpoint import *

default_data_root = "data/kitti"
