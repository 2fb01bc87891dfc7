"""COCO-format images: two 224 px views per image, kNN on annotated objects if there are annotations."""

from ccrop.datasets import CocoImages, ObjectCrops
from ccrop.hooks import KNNHook, RoIKNNHook

tags = ("scenes", "large", "annotated")
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = "data/coco"
demo = "demo"  # the data that take its place if there is none
train_dataloader = dict(
    batch_size=256,  # on each GPU
    num_workers=12,
    dataset=dict(type=CocoImages, data_root=None, split="train"),  # None is filled with the run's data root
)
default_hooks = dict(
    knn=dict(
        type=KNNHook,
        bank=dict(type=ObjectCrops, data_root=None, split="train", subset=20000),
        queries=dict(type=ObjectCrops, data_root=None, split="val", subset=5000),
        image_size=(112, 112),
        k=20,
        interval=10,
    )
)
adjustments = {
    "region": {"default_hooks.roi_knn": dict(type=RoIKNNHook, data_root=None)},
}
