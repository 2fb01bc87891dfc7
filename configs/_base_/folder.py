"""Any images, in a folder (flat or nested) or named by a text file: two 224 px views an image, no labels.

For a text file of paths: ``--cfg-options train_dataloader.dataset.type=ccrop.datasets.ImageList``.
"""

from mmengine.config import read_base

from ccrop.datasets import ImageFolder

with read_base():
    from .coco import *

default_data_root = None
train_dataloader.dataset = dict(
    type=ImageFolder,
    data_root=None,
    pipeline=train_dataloader.dataset.pipeline,
)
default_hooks.pop("knn")
