"""For a few hundred images, or a machine without a GPU: ResNet-18, 128 px, batches of 32, bf16 if supported.

The learning rate is 16 times SimSiam's, because such a run has a few hundred steps, not 100,000: see configs/README.md.
LARS, made for batches of thousands, gives way to SGD.
"""

from torch.optim import SGD

from ccrop.mixed_precision import AutocastOptimWrapper
from ccrop.schedule import CosineLR

tags = ("small",)
requires = ("scenes",)
adjustments = {
    "always": {
        "model.backbone.depth": 18,
        "model.channels_last": True,
        "optim_wrapper.type": AutocastOptimWrapper,
        "optim_wrapper.dtype": "bfloat16",
        # for 256 images
        "optim_wrapper.optimizer": dict(_delete_=True, type=SGD, lr=0.8, momentum=0.9, weight_decay=1e-4),
        "param_scheduler": [dict(type=CosineLR, eta_min=0.0, by_epoch=True)],
        "train_dataloader.batch_size": 32,
        "train_dataloader.dataset.pipeline.0.size": 128,
    },
    "annotated": {
        "default_hooks.knn.image_size": (96, 96),
        "default_hooks.knn.bank.subset": 2000,
        "default_hooks.knn.queries.subset": 1000,
    },
    "objects": {"default_hooks.localization.image_size": (384, 384), "default_hooks.localization.batch_size": 16},
    "region": {
        "optim_wrapper.optimizer.lr": 3.2,  # for 256 images
        "train_dataloader.batch_size": 16,
        "train_dataloader.dataset.pipeline.0.size": 160,
        "train_dataloader.dataset.pipeline.0.crop.side": 160,
        "default_hooks.localization.image_size": (384, 384),
    },
}
