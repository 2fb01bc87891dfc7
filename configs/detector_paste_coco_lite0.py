"""detector_paste_coco with EfficientNet-Lite0, to continue from ImageNet: --init efficientnet-lite0.pth.

ImageNet's features also find the clusters. For a fine-tuning with tiles_lite0.
"""

_base_ = ["detector_paste_coco.py"]

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type="ccrop.backbones.TimmBackbone", name="tf_efficientnet_lite0", out_indices=(0, 1, 2)
    ),
    neck=dict(in_channels=[24, 40, 112]),
    bbox_head=dict(separate_towers=True),
)
pseudo_boxes = dict(clusters=dict(backbone="timm:tf_efficientnet_lite0"))
train_cfg = dict(max_iters=600, val_interval=601)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=600, eta_min_ratio=0.01),
]
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=2e-3, weight_decay=0.05))
