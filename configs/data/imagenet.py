"""ImageNet-1K for 100 epochs, as ContrastiveCrop (Peng et al., CVPR 2022) trains on it: 224 px, 256 images per step.

That is the batch of all GPUs together; here, it is that of each. The released code trains MoCo v1 and v2;
docs/crops_and_methods.md says what differs. kNN accuracy on a part of the images.
"""

from ccrop.datasets import ImageNet
from ccrop.hooks import KNNHook

tags = ("imagenet", "large")
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = "data/imagenet"
train_dataloader = dict(
    batch_size=256,  # on each GPU
    num_workers=16,
    dataset=dict(type=ImageNet, data_root=None, split="train"),  # None is filled with the run's data root
)
default_hooks = dict(
    knn=dict(
        type=KNNHook,
        bank=dict(type=ImageNet, data_root=None, split="train", subset=20000),
        queries=dict(type=ImageNet, data_root=None, split="val", subset=5000),
        image_size=(224, 224),
        k=20,
        interval=10,
    )
)
train_cfg = dict(max_epochs=100)
