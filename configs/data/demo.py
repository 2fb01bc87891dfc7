"""The demo set, sized for two CPU cores and five minutes: ResNet-18 of half the width, 96 px, 20 epochs."""

from mmengine.config import read_base

with read_base():
    from .coco import *

tags = ("scenes", "annotated")
variant = "r18"  # applies before this file
demo = None
train_cfg = dict(max_epochs=20)
adjustments["always"] = {
    "model.backbone.base_channels": 32,
    "model.backbone.stem_channels": 32,
    "model.channels": 512,
}
adjustments["rcrop or single or simccrop or objects"] = {"train_dataloader.dataset.pipeline.0.size": 96}
adjustments["simsiam"] = {"model.bottleneck": 128}
adjustments["annotated"] = {"default_hooks.knn.image_size": (64, 64), "default_hooks.knn.bank.subset": 1000}
adjustments["region"]["train_cfg.max_epochs"] = 12
