"""Faster R-CNN for a few hundred images and small objects, on a machine without a GPU: ResNet-18, 320 px.

The feature pyramid starts at stride 4 and ends at 16, its anchors start at 8 px, and no stage after stride 16 runs.
AdamW, because SGD gets nowhere in a few hundred steps from scratch.
"""

_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py", "_base_/coco.py"]

model = dict(
    backbone=dict(
        depth=18,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
    ),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, num_outs=4, norm_cfg=dict(type="BN")),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(scales=[2, 2.83], strides=[4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64, featmap_strides=[4, 8, 16], finest_scale=16, roi_layer=dict(sampling_ratio=2)
        ),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(pos_iou_thr=0.5)),  # few anchors overlap a small object by 0.7
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

scale = (320, 320)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="RandomResize", scale=scale, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type="RandomCrop", crop_size=scale, allow_negative_crop=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=scale, keep_ratio=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_iters=300, val_interval=301)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=300, eta_min_ratio=0.01),
]
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
auto_scale_lr = dict(base_batch_size=8)
