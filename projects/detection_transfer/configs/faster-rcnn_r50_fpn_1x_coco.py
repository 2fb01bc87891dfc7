"""Faster R-CNN with FPN by the benchmark for self-supervised backbones."""

_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py", "_base_/benchmark.py"]

model = dict(
    backbone=_base_.trained,
    neck=dict(norm_cfg=_base_.synchronized_bn),
    roi_head=dict(bbox_head=dict(type="Shared4Conv1FCBBoxHead", norm_cfg=_base_.synchronized_bn)),
)
