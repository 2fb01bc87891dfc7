"""Random crops of the scene, 0.2 to 1 of it."""

from mmengine.config import read_base

with read_base():
    from .._base_.comparison import *
