"""CIFAR-10: two 32 px views an image, kNN accuracy on the test images."""

from mmengine.config import read_base

from ccrop.datasets import CIFAR10
from ccrop.hooks import KNNHook
from ccrop.views import CropViews, RandomCrop

with read_base():
    from .runtime import *

channels = 3  # of the images
data_root = None  # name it here or by --data-root
default_data_root = "data/cifar10"
train_dataloader.update(
    batch_size=512,  # on each GPU
    num_workers=4,
    dataset=dict(
        type=CIFAR10,
        data_root=None,  # None is filled with the run's data root, here and below
        split="train",
        pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=32)],
    ),
)
default_hooks.knn = dict(
    type=KNNHook,
    bank=dict(type=CIFAR10, data_root=None, split="train"),
    queries=dict(type=CIFAR10, data_root=None, split="test"),
    image_size=(32, 32),
    k=200,
    interval=10,
    batch_size=500,
)
