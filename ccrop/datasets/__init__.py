"""Images on disk, what is known of each, and the order in which they are visited."""

from ccrop.datasets.base import ImageDataset, InvalidAnnotations, LocatedDataset, MissingData
from ccrop.datasets.box_store import BoxStore
from ccrop.datasets.classification import CIFAR10, CIFAR100, STL10, ImageNet, TinyImageNet
from ccrop.datasets.coco import CocoImages, ObjectCrops
from ccrop.datasets.folder import ImageFolder, ImageList
from ccrop.datasets.reading import UnreadableFile, UnreadableImage, image_size, read_image
from ccrop.datasets.samplers import InfiniteSeededSampler, SeededSampler, ShardedBatches

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "STL10",
    "BoxStore",
    "CocoImages",
    "ImageDataset",
    "ImageFolder",
    "ImageList",
    "ImageNet",
    "InfiniteSeededSampler",
    "InvalidAnnotations",
    "LocatedDataset",
    "MissingData",
    "ObjectCrops",
    "SeededSampler",
    "ShardedBatches",
    "TinyImageNet",
    "UnreadableFile",
    "UnreadableImage",
    "image_size",
    "read_image",
]
