"""Small objects on two CPU cores: 128 px tiles at the images' own scale, half of them around an object.

A ResNet-18 of half the width without its last stage, one map of stride 4, and a head that assigns the targets of
a whole batch at once. Muon (Jordan et al. 2024) is far ahead of AdamW in schedules of a few thousand steps
(projects/studies/finetuning_recipe).
"""

_base_ = ["_base_/coco.py"]

model = dict(
    type="TiledDetector",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ccrop.backbones.ResNet",
        depth=18,
        base_channels=32,
        stem_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
    ),
    neck=dict(type="TopDownNeck", in_channels=[32, 64, 128], out_channels=64),
    bbox_head=dict(type="DenseHead", num_classes=80, in_channels=64, feat_channels=64),
    test_cfg=dict(nms_pre=500, score_thr=0.03, iou_threshold=0.6, max_per_img=100, tile=1024, overlap=128),
)

train_pipeline = [
    dict(type="KeptImage"),
    dict(type="LoadAnnotations", with_bbox=True, box_type=None),
    dict(type="ObjectTile", size=128, object_prob=0.5, balanced=False, mirror=(0.5, 0.5)),
    dict(type="RandomLevels"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale_factor=1.0),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    batch_sampler=None,  # tiles have one shape
    collate_fn=dict(type="pack_tiles"),
    dataset=dict(pipeline=train_pipeline),
)
test_dataloader = dict(batch_size=8, num_workers=0, dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_iters=6000, val_interval=6001)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=6000, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    type="AutocastOptimWrapper",
    optimizer=dict(_delete_=True, type="timm.optim.Muon", lr=4e-3, weight_decay=0.05, momentum=0.95, nesterov=True),
    clip_grad=dict(max_norm=10),
)
auto_scale_lr = dict(base_batch_size=32)
custom_imports = dict(
    imports=[
        "ccrop.mixed_precision",
        "ccrop.projects.detection_transfer.images",
        "ccrop.projects.detection_transfer.coco_metric",
        "ccrop.projects.detection_transfer.models",
        "ccrop.projects.detection_transfer.tile_transforms",
    ]
)
