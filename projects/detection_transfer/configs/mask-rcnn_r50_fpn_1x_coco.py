"""Mask R-CNN with FPN by the benchmark for self-supervised backbones."""

_base_ = ["mmdet::_base_/models/mask-rcnn_r50_fpn.py", "_base_/benchmark.py"]

model = dict(
    backbone=_base_.trained,
    neck=dict(norm_cfg=_base_.synchronized_bn),
    roi_head=dict(
        bbox_head=dict(type="Shared4Conv1FCBBoxHead", norm_cfg=_base_.synchronized_bn),
        mask_head=dict(norm_cfg=_base_.synchronized_bn),
    ),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
