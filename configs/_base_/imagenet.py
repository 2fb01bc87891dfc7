"""ImageNet-1K: two 224 px views an image, 256 images a step, kNN accuracy on a part of the images."""

from mmengine.config import read_base

from ccrop.datasets import ImageNet
from ccrop.hooks import KNNHook
from ccrop.views import CropViews, RandomCrop

with read_base():
    from .runtime import *

channels = 3  # of the images
data_root = None  # name it here or by --data-root
default_data_root = "data/imagenet"
train_dataloader.update(
    batch_size=256,  # on each GPU
    num_workers=16,
    dataset=dict(
        type=ImageNet,
        data_root=None,  # None is filled with the run's data root, here and below
        split="train",
        pipeline=[dict(type=CropViews, crop=dict(type=RandomCrop), size=224)],
    ),
)
default_hooks.knn = dict(
    type=KNNHook,
    bank=dict(type=ImageNet, data_root=None, split="train", subset=20000),
    queries=dict(type=ImageNet, data_root=None, split="val", subset=5000),
    image_size=(224, 224),
    k=20,
    interval=10,
)
