"""COCO-format images: two 224 px views an image, kNN on annotated objects where there are annotations."""

from mmengine.config import read_base

from ccrop.datasets import CocoImages, ObjectCrops
from ccrop.hooks import KNNHook
from ccrop.views import CropViews, RandomCrop

with read_base():
    from .runtime import *

channels = 3  # of the images
white = 65535  # its level in grey images of 16 bits and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = "data/coco"
train_dataloader.update(
    batch_size=256,  # on each GPU
    num_workers=12,
    dataset=dict(
        type=CocoImages,
        data_root=None,  # None is filled with the run's data root, here and below
        split="train",
        pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=224)],
    ),
)
default_hooks.knn = dict(
    type=KNNHook,
    bank=dict(type=ObjectCrops, data_root=None, split="train", subset=20000),
    queries=dict(type=ObjectCrops, data_root=None, split="val", subset=5000),
    image_size=(112, 112),
    k=20,
    interval=10,
)
