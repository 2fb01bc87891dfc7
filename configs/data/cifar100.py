"""CIFAR-100: as CIFAR-10, with 100 classes and its own mean and standard deviation."""

from mmengine.config import read_base

from ccrop.datasets import CIFAR100

with read_base():
    from .cifar10 import *

default_data_root = "data/cifar100"
train_dataloader.dataset.type = CIFAR100
default_hooks.knn.bank.type = CIFAR100
default_hooks.knn.queries.type = CIFAR100
adjustments["always"].update(
    {
        "model.data_preprocessor.mean": (0.5071, 0.4867, 0.4408),
        "model.data_preprocessor.std": (0.2675, 0.2565, 0.2761),
    }
)
