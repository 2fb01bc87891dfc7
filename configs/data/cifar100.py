"""CIFAR-100: as CIFAR-10 with 100 classes."""

from mmengine.config import read_base

from ccrop.datasets import CIFAR100

with read_base():
    from .cifar10 import *

default_data_root = "data/cifar100"
train_dataloader.dataset.type = CIFAR100
default_hooks.knn.bank.type = CIFAR100
default_hooks.knn.queries.type = CIFAR100
