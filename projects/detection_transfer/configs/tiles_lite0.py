"""Small objects on two CPU cores with EfficientNet-Lite0, for a start from ImageNet: --init efficientnet-lite0.pth.

A step takes about two and a half times as long as with tiles_r18.
"""

_base_ = ["tiles_r18.py"]

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True, type="ccrop.backbones.TimmBackbone", name="tf_efficientnet_lite0", out_indices=(0, 1, 2)
    ),
    neck=dict(in_channels=[24, 40, 112]),
    bbox_head=dict(separate_towers=True),
)
train_cfg = dict(max_iters=2000, val_interval=2001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=2000, eta_min_ratio=0.01),
]
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=2e-3, weight_decay=0.05))
