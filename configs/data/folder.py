"""Any images, in a folder (flat or nested) or named by a text file: two 224 px views per image, no labels.

For a text file of paths: ``--cfg-options train_dataloader.dataset.type=ccrop.datasets.ImageList``.
"""

from ccrop.datasets import ImageFolder

tags = ("scenes", "large")
channels = 3  # of the images
white = 65535  # its level in 16-bit gray images and more: 4095 where their sensor gives 12
data_root = None  # name it here or by --data-root
default_data_root = None
train_dataloader = dict(
    batch_size=256,  # on each GPU
    num_workers=12,
    dataset=dict(type=ImageFolder, data_root=None),  # None is filled with the run's data root
)
