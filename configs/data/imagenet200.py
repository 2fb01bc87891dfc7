"""As ImageNet-1K, with the folders of 200 classes only."""

from mmengine.config import read_base

with read_base():
    from .imagenet import *

default_data_root = "data/imagenet200"
