"""SimSiam with random crops on a folder of images."""

from mmengine.config import read_base

with read_base():
    from ._base_.folder import *
    from ._base_.simsiam import *
