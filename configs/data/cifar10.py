"""CIFAR-10 as ContrastiveCrop's released code trains on it (Peng et al., CVPR 2022): 32 px, 500 epochs.

ResNet-18 with a 3x3 stem, no blur, SGD with a learning rate of 0.5 at batch 512, cosine to 10 %, and kNN accuracy on
the test images. That code trains SimSiam, SimCLR, MoCo v2 and BYOL; docs/crops_and_methods.md says what differs.
SimSiam's own schedule ends at 0: ``--cfg-options param_scheduler.0.eta_min_ratio=0.0``.
"""

from torch.optim import SGD

from ccrop.backbones import ResNetCIFAR
from ccrop.datasets import CIFAR10
from ccrop.hooks import KNNHook
from ccrop.schedule import CosineLR

tags = ("cifar",)
channels = 3  # of the images
data_root = None  # name it here or by --data-root
default_data_root = "data/cifar10"
train_dataloader = dict(
    batch_size=512,  # on each GPU
    num_workers=4,
    dataset=dict(type=CIFAR10, data_root=None, split="train"),  # None becomes the run's data root
)
default_hooks = dict(
    knn=dict(
        type=KNNHook,
        bank=dict(type=CIFAR10, data_root=None, split="train"),
        queries=dict(type=CIFAR10, data_root=None, split="test"),
        image_size=(32, 32),
        k=200,
        interval=10,
        batch_size=500,
    )
)
train_cfg = dict(max_epochs=500)
adjustments = {
    "always": {
        "model.backbone.type": ResNetCIFAR,
        "model.backbone.depth": 18,
        "model.data_preprocessor.mean": (0.4914, 0.4822, 0.4465),
        "model.data_preprocessor.std": (0.2023, 0.1994, 0.2010),
        "model.data_preprocessor.blur_prob": 0.0,
        "train_dataloader.dataset.pipeline.0.size": 32,
        "optim_wrapper.paramwise_cfg": dict(_delete_=True, fix_predictor_lr=True),
        # for 256 images
        "optim_wrapper.optimizer": dict(_delete_=True, type=SGD, lr=0.25, momentum=0.9, weight_decay=1e-4),
        "param_scheduler": [dict(type=CosineLR, eta_min_ratio=0.1, by_epoch=True)],
    },
}
