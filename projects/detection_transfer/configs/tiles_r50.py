"""Small objects on a GPU: ResNet-50 with strides 4 to 32, tiles of 512 px at the images' own scale, bf16."""

_base_ = ["tiles_r18.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="ccrop.backbones.ResNet",
        depth=50,
        out_indices=(0, 1, 2, 3),
    ),
    neck=dict(
        _delete_=True,
        type="FPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
        norm_cfg=dict(type="BN"),
    ),
    bbox_head=dict(in_channels=256, feat_channels=256, stacked_convs=2, strides=[4, 8, 16, 32], sides=[32, 64, 128]),
    test_cfg=dict(nms_pre=1000, tile=1344, overlap=256),
)
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type="ObjectTile", size=512, mirror=(0.5, 0.0)),
    _base_.train_pipeline[3],
]
train_dataloader = dict(num_workers=12, persistent_workers=True, pin_memory=True, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(num_workers=4)
train_cfg = dict(max_iters=12000, val_interval=12001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=500, end=12000, eta_min_ratio=0.01),
]
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=2e-4, weight_decay=0.05))
env_cfg = dict(cudnn_benchmark=True)
